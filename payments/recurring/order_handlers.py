"""Where each kind of order goes at the payer's bank, and what the bank's answer changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from db_models import OrderKind, PayerBankOrder
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
    """One kind of order. Each function runs once for each order, but `before` for each attempt.

    They may raise ConcurrentUpdate, after which their transaction is tried again.
    """

    path: str
    """Below the bank's root."""
    before: Callable[[Work, PayerBankOrder], bool] = _send_always
    """Whether to send the order, asked in the transaction of the lease; False deletes it."""
    on_done: Callable[[Work, PayerBankOrder, Mapping[str, Any]], None] = _note_nothing
    """Called with the members of a 2xx, in the transaction that deletes the order."""
    on_refused: Callable[[Work, PayerBankOrder, str, str], None] = _accept_refusal
    """Called with code and detail of a final 4xx, or GIVEN_UP, in that transaction."""


HANDLERS = {
    OrderKind.REQUEST: OrderHandler("/api/mandate-requests"),
    OrderKind.REQUEST_CANCEL: OrderHandler("/api/mandate-requests/cancel"),
    OrderKind.MANDATE_CANCEL: OrderHandler("/api/mandates/cancel"),
    OrderKind.COLLECTION: OrderHandler("/api/collections"),
    OrderKind.COLLECTION_CANCEL: OrderHandler("/api/collections/cancel"),
}
