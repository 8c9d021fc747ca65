"""Create a payment once for each Idempotency-Key: the code that all create routes share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from accounts.access import has_credentials
from config import current_settings
from db_models import Account, Payment
from payments import service
from payments.at_bank.drafts import awaits_code
from payments.at_bank.waiting import finish_answer
from payments.lifecycle import RenewalTerms
from payments.schemas import NewPayment
from repository.database import Work, in_unit_of_work
from web import request_counts
from web.idempotency import CreatedAnswer, KeyedRequest


def renewal_terms() -> RenewalTerms:
    """The terms of renewals by the settings."""
    settings = current_settings()
    return RenewalTerms(
        usual_lifetime=timedelta(seconds=settings.payment_ttl_seconds),
        age_max=timedelta(days=settings.renewal_days),
        location_base=settings.location_base,
    )


def open_payment(
    new_payment: NewPayment,
    keyed: KeyedRequest,
    merchant_of: Callable[[Work], Account],
    answer_of: Callable[[Payment, datetime], CreatedAnswer],
    also: Callable[[Work, Payment], object] | None = None,
    *,
    waits: bool = True,
) -> CreatedAnswer:
    """Create a payment, or repeat the first answer under the same key.

    `merchant_of` authenticates the caller; `answer_of` builds the answer as of an instant.
    `also` runs in the unit of work of a new payment. A payment at a real bank is answered with its
    code; without `waits` the answer comes at once, and the code appears on the payment's page.
    Raises OrderAlreadyHasPayment, PixKeyMissing, IdempotencyConflict, ProviderUnavailable,
    ProviderRefused, ProviderUnsupported, and what `merchant_of` raises.
    """
    settings = current_settings()
    is_counted = False
    is_stranger = not has_credentials()
    if is_stranger:
        keyed = keyed.of_stranger("open")

    def create(work: Work) -> CreatedAnswer:
        nonlocal is_counted
        merchant = merchant_of(work)
        if not is_counted:
            client = None if is_stranger else f"account {merchant.id}"
            request_counts.take(request_counts.CREATIONS, settings.creations_per_minute, client)
            is_counted = True
        else:  # A unique index refused the first try: find out which.
            first = keyed.first_answer(work, merchant.id)
            if first is not None:
                return first
            if new_payment.order_id is not None:
                service.explain_live_order(work, merchant, new_payment.order_id)
        payment = service.create(
            work,
            merchant,
            new_payment,
            ttl=timedelta(seconds=settings.payment_ttl_seconds),
            location_base=settings.location_base,
            deferred=True,
        )
        # The key comes first: a repeated request is found by it, whatever `also` would refuse.
        new_answer = waiting_answer(payment) if waits else None
        answer = keyed.store(work, merchant.id, new_answer or answer_of(payment, work.now))
        if also is not None:
            work.flush_deferred()
            also(work, payment)
        return answer

    created = in_unit_of_work(create)
    return finish_answer(created, keyed, answer_of) if waits else created


def waiting_answer(payment: Payment) -> CreatedAnswer | None:
    """What is stored for a payment whose bank must give the code first; None for others."""
    if not awaits_code(payment):
        return None
    return CreatedAnswer("", {"awaits": payment.txid}, awaits=payment.txid)
