"""The plain websockets of merchants in this process, and the task that sends them events.

Events come from the announcer, after the commit and from every process. The task reads the payment
that a message needs, so that no confirmation waits for a socket.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import Any

import structlog
from flask import Flask

from blueprints.transactions.presenter import state_of
from core.clock import rfc3339
from core.errors import BalcaoError, TooManyRequests
from core.money import json_number
from db_models import Payment, PaymentStatus
from realtime.credentials import Watching, Watchings
from realtime.websocket import Line
from repository.database import reading
from repository.events import StoredEvent
from repository.receipts import ListedReceipt

log = structlog.get_logger()

CLOSE_UNAUTHORIZED = 4401
CLOSE_GOING_AWAY = 1001
"""RFC 6455, 7.4.1: the server stops, and the client should connect again."""

LINES_PER_MERCHANT_MAX = 500
PENDING_MAX = 10_000
READ_AT_ONCE = 100
ATTEMPTS_MAX, PAUSE_SECONDS = 20, 0.5
"""How long an unavailable database delays a message before the connections are dropped."""


def type_of(event: str) -> str:
    """The `type` of an event's message: `payment_completed`, `payment_expired`, …"""
    return event.replace(".", "_").replace("payment_confirmed", "payment_completed")


def message_of(event: StoredEvent, payment: Payment) -> str:
    """One message on a payment, as JSON."""
    return json.dumps(
        {
            "type": type_of(event.name),
            "payment_id": event.txid,
            "code": event.txid,
            "amount": json_number(payment.amount_centavos),
            "amount_centavos": payment.amount_centavos,
            "currency": "BRL",
            "refunded_amount": json_number(payment.refunded_centavos),
            "status": event.status,
            "state": state_of(PaymentStatus(event.status)),
            "description": payment.description,
            "order_id": payment.order_id,
            "sequence": event.sequence,
            "occurred_at": rfc3339(event.occurred_at),
            "message": event.message,
        },
        ensure_ascii=False,
    )


def message_of_receipt(event: StoredEvent, listed: ListedReceipt) -> str:
    """One message on a receipt without a payment, as JSON."""
    receipt = listed.receipt
    return json.dumps(
        {
            "type": type_of(event.name),
            "payment_id": None,
            "end_to_end_id": receipt.end_to_end_id,
            "amount": json_number(receipt.amount_centavos),
            "amount_centavos": receipt.amount_centavos,
            "currency": "BRL",
            "status": event.status,
            "payer_name": receipt.payer_name,
            "reference": receipt.reference,
            "till": listed.till_name,
            "sequence": event.sequence,
            "occurred_at": rfc3339(event.occurred_at),
            "message": event.message,
        },
        ensure_ascii=False,
    )


@dataclass(frozen=True)
class _Subjects:
    """The payments and receipts that events are about, by their row ids."""

    payments: Mapping[int, Payment]
    receipts: Mapping[int, ListedReceipt]

    def text_of(self, event: StoredEvent) -> str | None:
        """The message of an event, or None if the row is not its merchant's.

        The row says whose payment it is, because the message leaves the service.
        """
        if event.receipt_id is not None:
            listed = self.receipts.get(event.receipt_id)
            if listed is None or listed.receipt.merchant_id != event.merchant_id:
                return None
            return message_of_receipt(event, listed)
        payment = self.payments.get(event.payment_id or 0)
        if payment is None or payment.merchant_id != event.merchant_id:
            return None
        return message_of(event, payment)


class MerchantSockets:
    """The open connections by merchant, and the task that sends to them."""

    def __init__(
        self,
        app: Flask,
        watchings: Watchings,
        start: Callable[..., Any],
        sleep: Callable[[float], Any],
    ) -> None:
        """`start` runs the task with the first connection; it and `sleep` are the async mode's."""
        self._app = app
        self._watchings = watchings
        self._start = start
        self._sleep = sleep
        self._lines: dict[int, dict[Line, Watching]] = defaultdict(dict)
        self._lock = threading.Lock()
        self._pending: Queue[StoredEvent] = Queue(PENDING_MAX)
        self._is_sending = False

    def check_room(self, merchant_id: int) -> None:
        """Raise TooManyRequests if the merchant has reached LINES_PER_MERCHANT_MAX."""
        if len(self._lines.get(merchant_id, ())) >= LINES_PER_MERCHANT_MAX:
            raise TooManyRequests(60, "This merchant has too many open connections.")

    def join(self, line: Line, watching: Watching) -> None:
        """Send this connection its merchant's events; the first one starts the task."""
        with self._lock:
            self._lines[watching.caller.account.id][line] = watching
            is_first, self._is_sending = not self._is_sending, True
        self._watchings.add(watching)
        if is_first:
            self._start(self._send_for_ever)

    def leave(self, line: Line, watching: Watching) -> None:
        """Send this connection nothing more."""
        merchant_id = watching.caller.account.id
        with self._lock:
            self._lines[merchant_id].pop(line, None)
            if not self._lines[merchant_id]:
                del self._lines[merchant_id]
        self._watchings.remove(watching)

    def hear(self, event: StoredEvent) -> None:
        """Queue an event to be sent, if its merchant has a connection in this process."""
        if event.merchant_id not in self._lines:
            return
        try:
            self._pending.put_nowait(event)
        except Full:
            # Drop the connections that miss an event: a client that reconnects reads the state.
            self._drop(event.merchant_id)

    def close_all(self) -> None:
        """Close every connection, because the process stops."""
        for merchant_id in list(self._lines):
            for line in self._lines_of(merchant_id):
                line.close(CLOSE_GOING_AWAY)

    def _lines_of(self, merchant_id: int) -> list[Line]:
        with self._lock:
            return list(self._lines.get(merchant_id, ()))

    def _drop(self, merchant_id: int) -> None:
        for line in self._lines_of(merchant_id):
            line.drop()

    def _send_for_ever(self) -> None:
        while True:
            try:
                self._send(self._next_events())
            except Exception:
                log.exception("merchant_sockets.failed")

    def _next_events(self) -> list[StoredEvent]:
        """Wait for the next event; return it with those queued behind it."""
        events = [self._pending.get()]
        while len(events) < READ_AT_ONCE:
            try:
                events.append(self._pending.get_nowait())
            except Empty:
                break
        return events

    def _send(self, events: list[StoredEvent]) -> None:
        subjects = self._read(events)
        for event in events:
            if subjects is None:
                self._drop(event.merchant_id)
                continue
            lines = self._lines_of(event.merchant_id)
            text = subjects.text_of(event) if lines else None
            if text is None:
                continue
            for line in lines:
                line.tell(text)

    def _read(self, events: list[StoredEvent]) -> _Subjects | None:
        """What the events are about, or None if the database stayed unavailable.

        Connections whose credentials have ended are closed before.
        """
        merchants = {event.merchant_id for event in events}
        payments = {event.payment_id for event in events if event.payment_id is not None}
        receipts = {event.receipt_id for event in events if event.receipt_id is not None}
        for _ in range(ATTEMPTS_MAX):
            with self._lock:
                watching = [w for key in merchants for w in self._lines.get(key, {}).values()]
            try:
                with self._app.app_context():
                    self._watchings.look(watching)
                    with reading() as work:
                        return _Subjects(
                            work.payments.by_row_ids(payments) if payments else {},
                            work.receipts.by_row_ids(receipts) if receipts else {},
                        )
            except BalcaoError as error:
                log.info("merchant_sockets.postponed", code=error.code)
                self._sleep(PAUSE_SECONDS)
        return None
