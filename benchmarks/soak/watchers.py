"""Who watches during a soak: payers' pages over Socket.IO, and a merchant's plain websocket."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from typing import Any

import socketio
import websocket

from tests.realtime.sellers import PATH
from tests.support.service import ServiceProcess

ROOMS_MAX = 80
"""A connection may watch 100 payments."""
RECONNECT_SECONDS = 20.0
RETRY_SECONDS = 0.3
FINAL = ("confirmed", "expired", "cancelled")


class SoakWatcher:
    """A page that watches payments, reconnects after each fault and by itself, and asks again."""

    def __init__(self, services: list[ServiceProcess], number: int) -> None:
        self._urls = [service.url for service in services]
        self._turn = number
        self.states: dict[str, str] = {}
        """The last status by payment id."""
        self.connections = 0
        self._open: list[str] = []
        self._new: list[str] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def watch(self, txid: str) -> None:
        """Watch one payment more."""
        with self._lock:
            self._new.append(txid)

    def stop(self) -> None:
        """Disconnect."""
        self._stopped.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stopped.is_set():
            client = socketio.Client(reconnection=False)
            client.on("*", self._hear)
            self._turn += 1
            url = self._urls[self._turn % len(self._urls)]
            try:
                client.connect(url, transports=["websocket"], wait_timeout=10)
                self.connections += 1
                self._stay(client)
            except socketio.exceptions.SocketIOError:
                pass
            finally:
                with suppress(Exception):  # whatever state the connection was left in
                    client.shutdown()
            self._stopped.wait(RETRY_SECONDS)

    def _stay(self, client: Any) -> None:
        """Ask for all open payments, then for new ones, until it is time to reconnect."""
        until = time.monotonic() + RECONNECT_SECONDS
        with self._lock:
            self._new = [*self._open, *self._new]
            self._open = []
        rooms = 0
        while client.connected and time.monotonic() < until and rooms < ROOMS_MAX:
            with self._lock:
                self._open = [txid for txid in self._open if self.states.get(txid) not in FINAL]
                txid = self._new.pop(0) if self._new else None
                if txid is not None:
                    self._open.append(txid)
            if txid is None:
                if self._stopped.wait(0.1):
                    return
                continue
            rooms += 1
            answer = client.call("watch", {"payment_id": txid}, timeout=10)
            if answer.get("ok"):
                self._note(txid, answer["payment"]["status"])

    def _hear(self, _name: str, *data: Any) -> None:
        if data and isinstance(data[0], dict) and data[0].get("payment_id"):
            self._note(data[0]["payment_id"], data[0]["status"])

    def _note(self, txid: str, status: str) -> None:
        # An acknowledgement may be older than the event that overtook it.
        if self.states.get(txid) not in FINAL or status in FINAL:
            self.states[txid] = status


class MerchantListener:
    """A merchant's plain websocket that connects again after each disconnect."""

    def __init__(self, services: list[ServiceProcess], token: str) -> None:
        self._urls = [service.url.replace("http", "ws") for service in services]
        self._token = token
        self.messages: list[dict[str, Any]] = []
        self.connections = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Disconnect."""
        self._stopped.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stopped.is_set():
            url = self._urls[self.connections % len(self._urls)]
            with suppress(OSError, websocket.WebSocketException):
                connection: Any = websocket.create_connection(
                    f"{url}{PATH}?token={self._token}", timeout=1, suppress_origin=True
                )
                self.connections += 1
                try:
                    self._read(connection)
                finally:
                    connection.shutdown()
            self._stopped.wait(RETRY_SECONDS)

    def _read(self, connection: Any) -> None:
        while not self._stopped.is_set():
            with suppress(websocket.WebSocketTimeoutException):
                text = connection.recv()
                if not text:
                    return
                self.messages.append(json.loads(text))
