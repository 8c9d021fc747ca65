"""The verbs: create, renew, confirm, expire, cancel, revise. Nothing else changes a payment.

Each takes the unit of work of the door that called it and never commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from accounts import audit
from core import ids
from core.errors import (
    AlreadyPaid,
    AmountMismatch,
    ConcurrentUpdate,
    NotificationConflict,
    NotRenewable,
    OrderAlreadyHasPayment,
    PaidTooLate,
    PaymentCancelled,
    PaymentNotFound,
    Refused,
)
from core.pix import br_code
from core.signing.signatures import Signed
from db_models import Account, AuditAction, EventName, Payment, PaymentStatus, Receipt, Verdict
from payments import lifecycle
from payments.lifecycle import Change, status_at
from payments.schemas import Confirmation, NewPayment
from repository.database import Work
from repository.events import Recorded

CLOCK_SKEW = timedelta(seconds=300)
"""How far ahead of ours a bank's clock may run before its `paid_at` is nonsense."""

RENEWALS_MAX = 50
"""How many renewals of one payment are followed."""

_REFUSALS: tuple[type[Refused | PaymentNotFound], ...] = (
    AlreadyPaid,
    AmountMismatch,
    PaidTooLate,
    PaymentCancelled,
    PaymentNotFound,
)
REASONS = {refusal.code: refusal for refusal in _REFUSALS}
"""By the code a receipt keeps: what a notification told again is refused with."""


@dataclass(frozen=True)
class ConfirmationResult:
    """How a confirmation ended: the payment as it now stands, or why the money goes back."""

    payment: Payment | None
    duplicate: bool = False
    refusal: Refused | PaymentNotFound | None = None

    def accepted_or_raise(self) -> Payment:
        """The confirmed payment. Raises the refusal; call it after the commit that kept it."""
        if self.refusal is not None:
            raise self.refusal
        if self.payment is None:
            raise PaymentNotFound
        return self.payment


def create(
    work: Work, merchant: Account, asked: NewPayment, *, ttl: timedelta, location_base: str
) -> Payment:
    """A new pending payment with its BR Code and its first event.

    Raises LostRace where the order already has a live payment (see `explain_live_order`).
    """
    lifetime = ttl if asked.expires_in is None else timedelta(seconds=asked.expires_in)
    return _insert(
        work,
        merchant,
        amount_centavos=asked.value,
        lifetime=lifetime,
        location_base=location_base,
        details=dict(asked.metadata),
        **_written_by_merchant(asked),
    )


def _written_by_merchant(source: NewPayment | Payment) -> dict[str, Any]:
    """The columns that a new payment takes as they are sent, and a renewal copies."""
    return {"description": source.description, "order_id": source.order_id}


def explain_live_order(work: Work, merchant: Account, order_id: str) -> None:
    """Say why the order cannot have a new payment, or make room for it.

    Raises OrderAlreadyHasPayment. A payment whose deadline has passed is written down as expired
    here: the clock expires it, not the sweep.
    """
    live = work.payments.live_of_order(merchant.id, order_id)
    if live is None:
        return
    if lifecycle.is_due(live, work.now):
        expire(work, live)
        return
    raise OrderAlreadyHasPayment(
        f"The order {order_id} already has the {live.status} payment {live.txid}."
    )


def renew(
    work: Work,
    payment: Payment,
    *,
    ttl: timedelta,
    location_base: str,
    by: Account | None = None,
) -> Payment:
    """A new payment for the same order and amount, once the given one has expired.

    `by` is the merchant who asks, for the audit log; None is a shopper.

    A second call returns the renewal that is still pending; if that has expired too, the next one
    is made. Raises NotRenewable, or OrderAlreadyHasPayment when the order has another payment.
    """
    lifecycle.check_renewable(payment, work.now)
    newest = newest_renewal(work, payment)
    if newest is None:
        raise NotRenewable(
            f"This payment was renewed {RENEWALS_MAX} times. Renew the newest one, or create a "
            "payment."
        )
    if status_at(newest, work.now) is not PaymentStatus.PENDING:
        newest = _insert_renewal(work, newest, ttl, location_base)
        if by is not None:
            audit.record(work, by, AuditAction.PAYMENT_RENEWED, payment.txid, {"by": newest.txid})
    return newest


def _insert_renewal(work: Work, newest: Payment, ttl: timedelta, location_base: str) -> Payment:
    lifecycle.check_renewable(newest, work.now)
    if lifecycle.is_due(newest, work.now):
        expire(work, newest)
    if newest.order_id is not None:
        explain_live_order(work, newest.merchant, newest.order_id)
    return _insert(
        work,
        newest.merchant,
        amount_centavos=newest.amount_centavos,
        lifetime=ttl,
        location_base=location_base,
        details=dict(newest.details),
        **_written_by_merchant(newest),
        renewed_from_id=newest.id,
    )


def newest_renewal(work: Work, payment: Payment) -> Payment | None:
    """The payment that now stands for this one: its first renewal that has not expired.

    The last renewal when all have expired; the payment itself when it was never renewed. None when
    more than RENEWALS_MAX renewals lie between.
    """
    newest = payment
    for _ in range(RENEWALS_MAX + 1):
        if status_at(newest, work.now) is not PaymentStatus.EXPIRED:
            return newest
        successor = work.payments.successor_of(newest.id)
        if successor is None:
            return newest
        newest = successor
    return None


def _insert(
    work: Work,
    merchant: Account,
    *,
    amount_centavos: int,
    lifetime: timedelta,
    location_base: str,
    **values: Any,
) -> Payment:
    watch_code = ids.new_watch_code()
    code = br_code.encode_dynamic(
        f"{location_base}/qr/v2/{watch_code}", merchant.name, merchant.city
    )
    row = {
        "txid": ids.new_txid(),
        "watch_code": watch_code,
        "merchant_id": merchant.id,
        "amount_centavos": amount_centavos,
        "refunded_centavos": 0,
        "br_code": code,
        "status": PaymentStatus.PENDING,
        "created_at": work.now,
        "expires_at": work.now + lifetime,
        "sequence": 1,
        "look_up_at": work.now + lifecycle.LOOK_UP_AFTER,
        **values,
    }
    payment = work.payments.insert(row)
    _record(work, payment, EventName.PAYMENT_CREATED, "The payment has been created.", work.now)
    return payment


def confirm(work: Work, told: Confirmation, signed: Signed) -> ConfirmationResult:
    """Settle a payment with the money a bank told of, or keep why it goes back.

    Refusals are returned, not raised, so that the receipt of the attempt is committed. The same
    end_to_end_id again gets the first outcome again. Raises NotificationConflict where it comes
    with another payment or amount.
    """
    end_to_end_id = told.end_to_end_id or signed.message_id
    paid_at = told.paid_at or signed.signed_at
    payment, grace = work.payments.lock_by_txid(told.bank_payment_id)
    known = work.receipts.find_by_end_to_end_id(end_to_end_id)
    if known is not None:
        return _told_again(known, told, payment)
    if payment is None:
        missing = PaymentNotFound(f"There is no payment {told.bank_payment_id}.")
        _keep(work, told, end_to_end_id, paid_at, None, missing)
        return ConfirmationResult(None, refusal=missing)
    try:
        change = lifecycle.confirm(
            payment,
            amount_centavos=told.value,
            paid_at=paid_at,
            end_to_end_id=end_to_end_id,
            grace=grace,
            now=work.now,
        )
        if payment.status == PaymentStatus.EXPIRED and payment.order_id is not None:
            _clear_the_order(work, payment, payment.order_id)
    except Refused as refusal:
        _keep(work, told, end_to_end_id, paid_at, payment, refusal)
        _note_refusal(work, payment, refusal)
        return ConfirmationResult(payment, refusal=refusal)
    _apply(work, payment, change)
    _keep(work, told, end_to_end_id, paid_at, payment, None)
    return ConfirmationResult(payment)


def _told_again(known: Receipt, told: Confirmation, payment: Payment | None) -> ConfirmationResult:
    same = (told.bank_payment_id, told.value) == (known.bank_payment_id, known.amount_centavos)
    if not same:
        raise NotificationConflict(
            f"{known.end_to_end_id} was told before, for another payment or amount."
        )
    if known.verdict == Verdict.ACCEPTED:
        return ConfirmationResult(payment, duplicate=True)
    refusal = REASONS.get(known.reason or "", Refused)
    return ConfirmationResult(payment, duplicate=True, refusal=refusal())


def _clear_the_order(work: Work, payment: Payment, order_id: str) -> None:
    """Make way for an expired payment paid in time: its order may have got a newer one.

    Raises AlreadyPaid when the newer one was paid; cancels it when it is still waiting, and writes
    it down as expired when its own deadline has passed.
    """
    rival = work.payments.live_of_order(payment.merchant_id, order_id)
    if rival is None:
        return
    if rival.status == PaymentStatus.CONFIRMED:
        raise AlreadyPaid("Another payment of the same order was paid before.")
    if lifecycle.is_due(rival, work.now):
        expire(work, rival)
        return
    _apply(work, rival, lifecycle.supersede(rival, work.now))


def _keep(
    work: Work,
    told: Confirmation,
    end_to_end_id: str,
    paid_at: datetime,
    payment: Payment | None,
    refusal: Refused | PaymentNotFound | None,
) -> None:
    work.receipts.insert(
        {
            "end_to_end_id": end_to_end_id,
            "bank_payment_id": told.bank_payment_id,
            "payment_id": payment.id if payment else None,
            "merchant_id": payment.merchant_id if payment else None,
            "amount_centavos": told.value,
            "paid_at": paid_at,
            "told_at": work.now,
            "payer_name": told.payer.name if told.payer else None,
            "payer_document": told.payer.document if told.payer else None,
            "verdict": Verdict.ACCEPTED if refusal is None else Verdict.REFUSED,
            "reason": None if refusal is None else refusal.code,
        }
    )


def _note_refusal(work: Work, payment: Payment, refusal: Refused) -> None:
    if isinstance(refusal, PaidTooLate):
        _apply(work, payment, lifecycle.refuse(payment, refusal.code, work.now))
        return
    _record(work, payment, EventName.RECEIPT_REFUSED, refusal.detail, work.now)


def expire(work: Work, payment: Payment) -> None:
    """Write down that this payment's deadline has passed."""
    _apply(work, payment, lifecycle.expire(payment))


def cancel(work: Work, payment: Payment, by: Account) -> None:
    """Cancel a pending payment; `by` is the merchant who asks. Raises NotCancellable."""
    _apply(work, payment, lifecycle.cancel(payment, work.now))
    audit.record(work, by, AuditAction.PAYMENT_CANCELLED, payment.txid)


def revise_deadline(work: Work, payment: Payment, expires_at: datetime) -> None:
    """Move the deadline of a pending payment. Raises NotCancellable."""
    _apply(work, payment, lifecycle.revise_deadline(payment, expires_at, work.now))


def _apply(work: Work, payment: Payment, change: Change) -> None:
    """Make the change if the payment still stands as it was read.

    Raises ConcurrentUpdate otherwise: the unit starts again and decides on what it then finds.
    """
    if not work.payments.change(payment, change.from_statuses, change.values):
        raise ConcurrentUpdate
    _record(work, payment, change.event, change.message, work.now, change.reason)


def _record(
    work: Work,
    payment: Payment,
    name: EventName,
    message: str,
    at: datetime,
    reason: str | None = None,
) -> None:
    work.record(
        Recorded(
            name=name,
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            txid=payment.txid,
            status=str(status_at(payment, work.now)),
            sequence=payment.sequence,
            occurred_at=at,
            message=message,
            reason=reason,
        )
    )
