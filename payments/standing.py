"""How a payment stands and what its payer can do, for every page and API.

The payment page, the receipt, the portal and recovery all ask here, and `payments.standing_words`
says it in one way, so that nobody is told two things about one payment. Ids and amounts of other
payments stay private: the state says only that the order was paid, so that nobody pays twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from db_models import Payment, PaymentStatus, Receipt, RefundStatus
from payments.lifecycle import status_at
from payments.opening import renewal_terms
from payments.renewals import is_kind_renewable, is_young_enough, newest_renewal
from repository.database import Work
from repository.recovery_lookups import RecoveryLookups


class State(StrEnum):
    """The payment's state, as the payer reads it."""

    PAID = "paid"
    PART_REFUNDED = "part-refunded"
    REFUNDED = "refunded"
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
    refusal: str | None = None
    """Why money for this payment goes back; None once the payment is paid."""
    refused_receipt: Receipt | None = None
    """The newest receipt of money that goes back, if it was read."""
    receipt: Receipt | None = None
    """The receipt of the money that paid the payment; None before that."""
    refunded_at: datetime | None = None
    """When the newest refund arrived at the payer's bank."""

    @property
    def paid_at(self) -> datetime | None:
        """When the payer's bank took the money, which may be long before the bank told of it."""
        if self.status is not PaymentStatus.CONFIRMED:
            return None
        return self.payment.resolved_at if self.receipt is None else self.receipt.paid_at


def payment_state_of(work: Work, txid: str) -> PaymentState:
    """The payment's state now, with the receipt of refused money. Raises PaymentNotFound."""
    payment = work.payments.by_txid(txid)
    state_now = state_at(work, payment)
    if state_now.status is PaymentStatus.CONFIRMED:
        return state_now
    refused_receipt = RecoveryLookups(work.session).last_refused(payment.id)
    return replace(state_now, refused_receipt=refused_receipt)


def state_at(
    work: Work,
    payment: Payment,
    *,
    is_order_paid: bool | None = None,
    receipt: Receipt | None = None,
) -> PaymentState:
    """How a payment stands at `work.now`.

    A pending payment needs no further query. `is_order_paid` says whether another payment of the
    order was paid, and `receipt` is that of the money, if the caller has read them already.
    """
    status = status_at(payment, work.now)
    if status is PaymentStatus.CONFIRMED:
        refunded_at = _refunded_at(work, payment) if payment.refunded_centavos else None
        return PaymentState(
            payment,
            work.now,
            status,
            paid_state(payment),
            Action.RECEIPT,
            receipt=receipt or work.receipts.accepted_of(payment.id),
            refunded_at=refunded_at,
        )
    state, action = _unpaid_state(work, payment, status, is_order_paid)
    refusal = None if state is State.PAID_ELSEWHERE else payment.refusal
    if refusal is not None:
        state = State.REFUSED
    return PaymentState(payment, work.now, status, state, action, refusal)


def paid_state(payment: Payment) -> State:
    """How far a paid payment was refunded."""
    if payment.refunded_centavos == 0:
        return State.PAID
    is_whole = payment.refunded_centavos >= payment.amount_centavos
    return State.REFUNDED if is_whole else State.PART_REFUNDED


def mark_of(payment: Payment, now: datetime) -> str:
    """The payment's state in one word: its status, or how far it was refunded or refused."""
    status = status_at(payment, now)
    if status is PaymentStatus.CONFIRMED and payment.refunded_centavos:
        is_full = payment.refunded_centavos >= payment.amount_centavos
        return "refunded" if is_full else "part-refunded"
    if status is not PaymentStatus.CONFIRMED and payment.refusal:
        return "refused"
    return str(status)


def _refunded_at(work: Work, payment: Payment) -> datetime | None:
    refunds = work.refunds.of_payment(payment.id)
    arrivals = [row.settled_at for row in refunds if row.status == RefundStatus.DONE]
    return max((at for at in arrivals if at is not None), default=None)


def _unpaid_state(
    work: Work, payment: Payment, status: PaymentStatus, is_order_paid: bool | None
) -> tuple[State, Action]:
    if status is PaymentStatus.PENDING:
        return State.WAITING, Action.PAY
    if is_order_paid is None:
        is_order_paid = RecoveryLookups(work.session).is_order_paid(payment)
    if is_order_paid:
        return State.PAID_ELSEWHERE, Action.OPEN
    if status is PaymentStatus.CANCELLED:
        return State.CANCELLED, Action.OPEN
    return _expired_state(work, payment)


def _expired_state(work: Work, payment: Payment) -> tuple[State, Action]:
    """Offer a new code only where `payments.renewals.renew` would make one."""
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
    if not is_kind_renewable(payment) or not is_young_enough(work, newest, renewal_terms()):
        return State.EXPIRED, Action.OPEN
    if payment.order_id is None:
        return State.EXPIRED, Action.RENEW
    live = work.payments.live_of_order(payment.merchant_id, payment.order_id)
    if live is not None and status_at(live, work.now) is PaymentStatus.PENDING:
        return State.REPLACED, Action.OPEN
    return State.EXPIRED, Action.RENEW
