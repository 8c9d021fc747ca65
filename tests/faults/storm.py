"""A bank that retries each notification until it is answered, and watchers that reconnect."""

from __future__ import annotations

import gc
import http.client
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import socketio

from core.clock import SystemClock, rfc3339
from tests.support.service import ServiceProcess, end_to_end_id

SENDERS = 4
PAUSE_SECONDS = 0.05
UNREACHABLE = (OSError, http.client.HTTPException, ValueError)
"""Errors of a client whose service is killed in the middle of an answer."""


def wait_until(true: Callable[[], Any], seconds: float, what: str) -> None:
    """Wait until `true()` holds. Raises AssertionError that names `what`."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, f"not within {seconds:.0f} s: {what}"
        time.sleep(PAUSE_SECONDS)


class Storm:
    """Several senders; each notification is sent twice, and each copy until it is answered."""

    def __init__(self, service: ServiceProcess, payments: Iterable[dict[str, Any]]) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.notices = [
            (payment, {"end_to_end_id": end_to_end_id(), "paid_at": rfc3339(SystemClock().now())})
            for payment in payments
        ]
        self._waiting = deque([*self.notices, *self.notices])
        self._unanswered = len(self._waiting)
        self.accepted: list[tuple[str, bool]] = []
        """The payment id of each answer 200, and whether it was a duplicate."""
        self.refusals: list[tuple[int, dict[str, Any]]] = []
        """Every answer that is neither 200 nor 503: there must be none."""
        self.deferred = 0
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(SENDERS)]

    def __enter__(self) -> Storm:
        """Start the senders."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the senders."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(30)

    def confirmed(self) -> set[str]:
        """The ids of the payments that were answered 200 so far."""
        with self._lock:
            return {txid for txid, _ in self.accepted}

    def has_accepted(self, answers: int) -> bool:
        """Whether at least this many notifications were answered 200."""
        return len(self.accepted) >= answers

    def is_over(self) -> bool:
        """Whether every notification has its final answer."""
        return self._unanswered == 0

    def _send(self) -> None:
        while not self._stopped.is_set() and not self.is_over():
            try:
                payment, fields = self._waiting.popleft()
            except IndexError:
                time.sleep(PAUSE_SECONDS)
                continue
            try:
                status, body = self._tell(payment, fields)
            except UNREACHABLE:
                self._waiting.append((payment, fields))
                time.sleep(PAUSE_SECONDS)
                continue
            self._note(payment, fields, status, body)

    def _tell(self, payment: dict[str, Any], fields: dict[str, str]) -> tuple[int, dict[str, Any]]:
        return self._service.tell(payment, **fields)

    def _note(
        self, payment: dict[str, Any], fields: dict[str, str], status: int, body: dict[str, Any]
    ) -> None:
        with self._lock:
            if status == 503:
                self.deferred += 1
                self._waiting.append((payment, fields))
                return
            self._unanswered -= 1
            if status == 200:
                self.accepted.append((payment["id"], body["duplicate"]))
            else:
                self.refusals.append((status, body))


class StaticStorm(Storm):
    """The same with money for a static code, which no payment asked for."""

    def __init__(self, service: ServiceProcess, pix_key: str, count: int) -> None:
        super().__init__(service, [{"id": f"{n}", "value": 10 + n} for n in range(count)])
        self._pix_key = pix_key

    def _tell(self, payment: dict[str, Any], fields: dict[str, str]) -> tuple[int, dict[str, Any]]:
        notice = {"pix_key": self._pix_key, "value": payment["value"], **fields}
        return self._service.notify(notice)


class Watcher:
    """A browser that watches payments, and reconnects and asks again after each disconnect."""

    def __init__(
        self, service: ServiceProcess, payments: Iterable[dict[str, Any]], transport: str
    ) -> None:
        self.watched = {payment["id"] for payment in payments}
        self._url, self._transport = service.url, transport
        self.knows: set[str] = set()
        """The ids of the payments that it received or read as confirmed."""
        self.heard: list[str] = []
        """The ids of the payments whose event it received."""
        self._answers = 0
        self._client = socketio.Client(
            reconnection_delay=0.2, reconnection_delay_max=0.5, randomization_factor=0.1
        )
        self._client.on("connect", self._connected)
        self._client.on("payment-confirmed", self._hear)

    def __enter__(self) -> Watcher:
        self._client.connect(self._url, transports=[self._transport], wait_timeout=10)
        # The service answers one message after the other, and a fault may come at once.
        wait_until(lambda: self._answers >= len(self.watched), 10, "every watch is answered")
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect, even during a reconnect."""
        with suppress(socketio.exceptions.SocketIOError):
            self._client.shutdown()
        # The client's library leaves a socket open if the service dies during the handshake.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    def knows_all(self) -> bool:
        """Whether the watcher has seen every watched payment confirmed."""
        return self.knows == self.watched

    def _connected(self) -> None:
        for txid in self.watched:
            with suppress(socketio.exceptions.SocketIOError):
                self._client.emit("watch", {"payment_id": txid}, callback=self._read)

    def _read(self, answer: dict[str, Any]) -> None:
        self._answers += 1
        if answer.get("ok") and answer["payment"]["status"] == "confirmed":
            self.knows.add(answer["payment"]["id"])

    def _hear(self, message: dict[str, Any]) -> None:
        self.heard.append(message["payment_id"])
        self.knows.add(message["payment_id"])
