"""Where each kind of order goes at the payer's bank, and what the bank's answer changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from db_models import OrderKind, PayerBankOrder
from payments.recurring import charges, requests
from repository.database import Work

GIVEN_UP = "no-answer"
"""The code of a refusal if the bank has not answered for `order_sender.SENT_FOR`."""


def _send_always(_work: Work, _order: PayerBankOrder) -> bool:
    return True


def _note_nothing(_work: Work, _order: PayerBankOrder, _answer: Mapping[str, Any]) -> None:
    pass


def _accept_refusal(_work: Work, _order: PayerBankOrder, _code: str, _detail: str) -> None:
    pass


@dataclass(frozen=True)
class OrderHandler:
    """One kind of order. `before` runs before each attempt to send, the others once for each order.

    They may raise ConcurrentUpdate, after which their transaction is tried again.
    """

    path: str
    """Below the bank's root."""
    before: Callable[[Work, PayerBankOrder], bool] = _send_always
    """Whether to send the order, called in the transaction of the lease; False deletes it."""
    on_done: Callable[[Work, PayerBankOrder, Mapping[str, Any]], None] = _note_nothing
    """Called with the members of a 2xx, in the transaction that deletes the order."""
    on_refused: Callable[[Work, PayerBankOrder, str, str], None] = _accept_refusal
    """Called with code and detail of a final 4xx, or GIVEN_UP, in that transaction."""
    repeats: tuple[str, str] = ("", "")
    """Where a 2xx repeats the order's subject: a member, and the member within it."""


def _is_wanted(work: Work, order: PayerBankOrder) -> bool:
    """Whether the attempt waits for the bank: it may have ended before it was sent."""
    return charges.is_requested(work, order.subject)


def _schedule_attempt(work: Work, order: PayerBankOrder, _answer: Mapping[str, Any]) -> None:
    charges.schedule(work, order.subject)


def _refuse_attempt(work: Work, order: PayerBankOrder, code: str, _detail: str) -> None:
    charges.refuse(work, order.subject, code)


_OF_REQUEST, _OF_COLLECTION = ("request", "id"), ("collection", "end_to_end_id")

HANDLERS = {
    OrderKind.REQUEST: OrderHandler(
        "/api/mandate-requests",
        before=requests.begin_sending,
        on_done=requests.note_received,
        on_refused=requests.note_refused,
        repeats=_OF_REQUEST,
    ),
    OrderKind.REQUEST_CANCEL: OrderHandler("/api/mandate-requests/cancel", repeats=_OF_REQUEST),
    OrderKind.MANDATE_CANCEL: OrderHandler("/api/mandates/cancel", repeats=("mandate", "id_rec")),
    OrderKind.COLLECTION: OrderHandler(
        "/api/collections",
        _is_wanted,
        _schedule_attempt,
        _refuse_attempt,
        repeats=_OF_COLLECTION,
    ),
    OrderKind.COLLECTION_CANCEL: OrderHandler("/api/collections/cancel", repeats=_OF_COLLECTION),
}
