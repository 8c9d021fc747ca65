"""Renew an expired payment: a new payment for the same order."""

from __future__ import annotations

from datetime import timedelta

from accounts import audit
from core.errors import ConcurrentUpdate, NotRenewable
from db_models import Account, AuditAction, ChargeKind, Payment, PaymentStatus
from payments import lifecycle, service
from payments.lifecycle import RenewalTerms, status_at
from repository.database import Work

RENEWALS_MAX = 50
"""How many renewals of one payment can follow each other."""


def renew(
    work: Work,
    payment: Payment,
    terms: RenewalTerms,
    *,
    by: Account | None = None,
) -> Payment:
    """Renew an expired payment: insert a new payment for the same order, amount and lifetime.

    A second call returns the renewal while that is pending, and renews it once it has expired. `by`
    is the merchant for the audit log, None for a shopper. Raises NotRenewable, or
    OrderAlreadyHasPayment if the order has another payment.
    """
    lifecycle.check_renewable(payment, work.now)
    if not is_kind_renewable(payment):
        raise NotRenewable(
            "A charge with a due date, or with a txid that its merchant chose, is not renewed. "
            "Create a new one."
        )
    newest = newest_renewal(work, payment)
    if newest is None:
        raise NotRenewable(
            f"This payment was renewed {RENEWALS_MAX} times. Renew the newest payment, or create "
            "a new one."
        )
    if status_at(newest, work.now) is not PaymentStatus.PENDING:
        if not is_young_enough(work, newest, terms):
            raise NotRenewable(
                f"This payment expired more than {terms.age_max.days} days ago: its price may have "
                "changed. Create a new payment."
            )
        newest = _insert_renewal(work, newest, terms)
        if by is not None:
            audit.record(work, by, AuditAction.PAYMENT_RENEWED, payment.txid, {"by": newest.txid})
    return newest


def is_kind_renewable(payment: Payment) -> bool:
    """Whether payments of this kind are renewed.

    The days of a due date do not come again. A merchant who chose a txid waits for money with that
    txid: the charge stays active for API Pix, and its merchant gives it a later deadline.
    """
    return payment.charge_kind == ChargeKind.COB and payment.charge_txid is None


def is_young_enough(work: Work, payment: Payment, terms: RenewalTerms) -> bool:
    """Whether the first payment of the chain expired no longer than `age_max` ago."""
    first = work.payments.first_of_chain(payment, RENEWALS_MAX)
    return work.now <= first.expires_at + terms.age_max


def _lifetime_of(work: Work, payment: Payment, terms: RenewalTerms) -> timedelta:
    charge = work.provider_charges.of_payment(payment.id) if payment.provider_account_id else None
    if charge is not None:
        return timedelta(seconds=charge.lifetime_seconds)
    if work.events.has_revision(payment.id):
        return terms.usual_lifetime
    return payment.expires_at - payment.created_at


def _insert_renewal(work: Work, newest: Payment, terms: RenewalTerms) -> Payment:
    lifecycle.check_renewable(newest, work.now)
    if newest.merchant.disabled_at is not None:
        raise NotRenewable("The shop is closed: it takes no new payments.")
    if lifecycle.is_due(newest, work.now):
        service.expire(work, newest)
    # A revision that gives the old payment a later deadline waits from here on, and sees this one.
    elif not work.payments.change(newest, [newest.status], {"sequence": newest.sequence}):
        raise ConcurrentUpdate
    if newest.order_id is not None:
        service.explain_live_order(work, newest.merchant, newest.order_id)
    return service.insert_payment(
        work,
        newest.merchant,
        amount_centavos=newest.amount_centavos,
        lifetime=_lifetime_of(work, newest, terms),
        location_base=terms.location_base,
        details=dict(newest.details),
        **service.merchant_columns(newest),
        charge_terms=newest.charge_terms,
        payer_sets_amount=newest.payer_sets_amount,
        renewed_from_id=newest.id,
    )


def newest_renewal(work: Work, payment: Payment) -> Payment | None:
    """The first payment in the chain of renewals that has not expired, else the last payment.

    The chain begins with `payment` itself. None if it has more than RENEWALS_MAX renewals.
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
