"""A payment's state and next step, for the person who has the payment's code.

Ids and amounts of other payments stay private. The state says only that the order was paid, so
that nobody pays twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from db_models import Payment, PaymentStatus, Receipt
from payments import bank_client, traces
from payments.lifecycle import status_at
from payments.opening import renewal_terms
from payments.service import is_young_enough, newest_renewal
from repository.database import Work
from repository.recovery_lookups import RecoveryLookups


class State(StrEnum):
    """The payment's state, as the payer reads it."""

    PAID = "paid"
    WAITING = "waiting"
    EXPIRED = "expired"
    REFUSED = "refused"
    """The service refused money for this payment; the money goes back."""
    CANCELLED = "cancelled"
    PAID_ELSEWHERE = "paid-elsewhere"
    """Another code of the same order was paid."""
    REPLACED = "replaced"
    """The shop made another code for the order; the payer of this code does not see that code."""


class Action(StrEnum):
    """The payer's next step."""

    RECEIPT = "receipt"
    PAY = "pay"
    RENEW = "renew"
    OPEN = "open"


@dataclass(frozen=True)
class PaymentState:
    """The state of a payment at the instant `at`."""

    payment: Payment
    at: datetime
    status: PaymentStatus
    state: State
    action: Action
    refused_receipt: Receipt | None = None
    """The newest receipt of money that goes back; None once the payment is paid."""


def payment_state_of(work: Work, txid: str) -> PaymentState:
    """The payment's state now. Raises PaymentNotFound."""
    payment = work.payments.by_txid(txid)
    status = status_at(payment, work.now)
    if status is PaymentStatus.CONFIRMED:
        return PaymentState(payment, work.now, status, State.PAID, Action.RECEIPT)
    refused_receipt = RecoveryLookups(work.session).last_refused(payment.id)
    state, action = _unpaid_state(work, payment, status)
    if refused_receipt is not None and state is not State.PAID_ELSEWHERE:
        state = State.REFUSED
    return PaymentState(payment, work.now, status, state, action, refused_receipt)


def _unpaid_state(work: Work, payment: Payment, status: PaymentStatus) -> tuple[State, Action]:
    if status is PaymentStatus.PENDING:
        return State.WAITING, Action.PAY
    if RecoveryLookups(work.session).is_order_paid(payment):
        return State.PAID_ELSEWHERE, Action.OPEN
    if status is PaymentStatus.CANCELLED:
        return State.CANCELLED, Action.OPEN
    return _expired_state(work, payment)


def _expired_state(work: Work, payment: Payment) -> tuple[State, Action]:
    """Offer a new code only where `payments.service.renew` would make one."""
    newest = newest_renewal(work, payment)
    if newest is None:
        return State.REPLACED, Action.OPEN
    status = status_at(newest, work.now)
    if status is PaymentStatus.CONFIRMED:
        return State.PAID_ELSEWHERE, Action.OPEN
    if status is PaymentStatus.CANCELLED:
        return State.REPLACED, Action.OPEN
    if status is PaymentStatus.PENDING:
        return State.EXPIRED, Action.RENEW
    if not is_young_enough(work, newest, renewal_terms()):
        return State.EXPIRED, Action.OPEN
    if payment.order_id is None:
        return State.EXPIRED, Action.RENEW
    live = work.payments.live_of_order(payment.merchant_id, payment.order_id)
    if live is not None and status_at(live, work.now) is PaymentStatus.PENDING:
        return State.REPLACED, Action.OPEN
    return State.EXPIRED, Action.RENEW


def ask_bank(txid: str, status: PaymentStatus) -> bool:
    """Ask the bank for the payment's money and settle the payment, as *Já paguei* does.

    Asks at most once in 5 s per payment; returns whether the bank answered. Call outside a unit of
    work.
    """
    if status not in (PaymentStatus.PENDING, PaymentStatus.EXPIRED):
        return False
    if not bank_client.ask_about(txid):
        return False
    traces.record_look_up(txid)
    return True
