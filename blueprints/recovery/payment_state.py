"""How a payment stands for whoever shows its code: one state, and one thing to do.

It tells nothing of any other payment: neither its id nor its amount, only, where it must be known
so that nobody pays twice, that the order was paid.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from db_models import Payment, PaymentStatus, Receipt
from payments import bank_client, traces
from payments.lifecycle import status_at
from payments.service import newest_renewal
from repository.database import Work
from repository.recovery_lookups import RecoveryLookups


class State(StrEnum):
    """What the payer is told."""

    PAID = "paid"
    WAITING = "waiting"
    EXPIRED = "expired"
    REFUSED = "refused"
    """Money came that could not be taken, and goes back."""
    CANCELLED = "cancelled"
    PAID_ELSEWHERE = "paid-elsewhere"
    """Another code of the same order was paid."""
    REPLACED = "replaced"
    """The shop made another code for the order, which this one's holder is not shown."""


class Action(StrEnum):
    """The one thing to do."""

    RECEIPT = "receipt"
    PAY = "pay"
    RENEW = "renew"
    OPEN = "open"


@dataclass(frozen=True)
class PaymentState:
    """A payment with its merchant, as it stands at `at`."""

    payment: Payment
    at: datetime
    status: PaymentStatus
    state: State
    action: Action
    refused: Receipt | None = None
    """The last money that came and goes back; None once the payment is paid."""


def standing_of(work: Work, txid: str) -> PaymentState:
    """How the payment stands now. Raises PaymentNotFound."""
    payment = work.payments.by_txid(txid)
    status = status_at(payment, work.now)
    if status is PaymentStatus.CONFIRMED:
        return PaymentState(payment, work.now, status, State.PAID, Action.RECEIPT)
    refused = RecoveryLookups(work.session).last_refused(payment.id)
    state, action = _without_money(work, payment, status)
    if refused is not None and state is not State.PAID_ELSEWHERE:
        state = State.REFUSED
    return PaymentState(payment, work.now, status, state, action, refused)


def _without_money(work: Work, payment: Payment, status: PaymentStatus) -> tuple[State, Action]:
    if status is PaymentStatus.PENDING:
        return State.WAITING, Action.PAY
    if RecoveryLookups(work.session).is_order_paid(payment):
        return State.PAID_ELSEWHERE, Action.OPEN
    if status is PaymentStatus.CANCELLED:
        return State.CANCELLED, Action.OPEN
    return _of_expired(work, payment)


def _of_expired(work: Work, payment: Payment) -> tuple[State, Action]:
    """Whether a new code may be asked for, by the rules of `payments.service.renew`."""
    newest = newest_renewal(work, payment)
    if newest is None:
        return State.REPLACED, Action.OPEN
    status = status_at(newest, work.now)
    if status is PaymentStatus.CONFIRMED:
        return State.PAID_ELSEWHERE, Action.OPEN
    if status is PaymentStatus.CANCELLED:
        return State.REPLACED, Action.OPEN
    if status is PaymentStatus.PENDING or payment.order_id is None:
        return State.EXPIRED, Action.RENEW
    live = work.payments.live_of_order(payment.merchant_id, payment.order_id)
    if live is not None and status_at(live, work.now) is PaymentStatus.PENDING:
        return State.REPLACED, Action.OPEN
    return State.EXPIRED, Action.RENEW


def ask_bank(txid: str, status: PaymentStatus) -> bool:
    """Settle the payment with what the bank holds for it, as *Já paguei* does.

    At most once in 5 s per payment; gives whether the bank was asked and answered. Outside a unit
    of work.
    """
    if status not in (PaymentStatus.PENDING, PaymentStatus.EXPIRED):
        return False
    if not bank_client.ask_about(txid):
        return False
    traces.note_asked(txid)
    return True
