"""Payments with a due date: what they cost on a day, and until when they can be paid.

Such a payment is a charge of the kind `cobv` (API Pix 2.9.0). Its row has the original amount until
a confirmation stores the amount that was paid; its terms are a member of `Payment.charge_terms`.
Its deadline is the end of the last payable day by national holidays. A payer whose state has a
holiday on that day may pay later, and with less interest: that counts for the payload of the code
and for the confirmation, but not for pages, which do not know where the payer is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from core.pix.business_days import NATIONAL, REGIONS, brasilia_day, end_of_day
from core.pix.due_amounts import AmountDue, amount_due
from core.pix.due_terms import DueTerms
from db_models import ChargeKind, Payment, PaymentStatus
from payments.lifecycle import ExpectedMoney
from payments.location import ORIGINAL, WITHDRAWAL
from repository.database import now as present

DUE = "due"
"""The member of `Payment.charge_terms` with the terms."""
DEBTOR = "debtor"
"""The member with the debtor's e-mail and address, in the words of API Pix."""


def with_due_terms(
    charge_terms: Mapping[str, Any], original_centavos: int, terms: DueTerms
) -> dict[str, Any]:
    """The charge's terms of API Pix together with those of its due date."""
    return {**charge_terms, ORIGINAL: original_centavos, DUE: terms.to_json()}


def due_terms_of(payment: Payment) -> DueTerms | None:
    """The terms of a payment with a due date; None for all others."""
    if payment.charge_kind != ChargeKind.COBV:
        return None
    return DueTerms.from_json((payment.charge_terms or {})[DUE])


def original_of(payment: Payment) -> int:
    """The centavos that the merchant asked for, before fine, interest and discount."""
    return int((payment.charge_terms or {}).get(ORIGINAL, payment.amount_centavos))


def amount_on(payment: Payment, terms: DueTerms, day: date, region: str = NATIONAL) -> AmountDue:
    """The components of the amount of this day; after the last payable day, those of that day."""
    last = terms.last_payable_day(region)
    return amount_due(original_of(payment), terms, min(day, last), region)


def components_at(payment: Payment, now: datetime) -> AmountDue | None:
    """The components of the amount of an unpaid payment with a due date; None for all others."""
    terms = due_terms_of(payment)
    if terms is None or payment.status == PaymentStatus.CONFIRMED:
        return None
    return amount_on(payment, terms, brasilia_day(now))


def amount_at(payment: Payment, now: datetime) -> int:
    """The centavos that a payer pays now, or has paid."""
    components = components_at(payment, now)
    return payment.amount_centavos if components is None else components.final_centavos


def amount_due_now(payment: Payment) -> int:
    """`amount_at` by the clock; the filter `amount_due` of pages."""
    return amount_at(payment, present())


def next_amount_at(payment: Payment, now: datetime) -> datetime | None:
    """The instant at which the amount of a payment that can be paid may change; None for never."""
    if payment.charge_kind != ChargeKind.COBV or payment.status != PaymentStatus.PENDING:
        return None
    midnight = end_of_day(brasilia_day(now))
    return midnight if midnight < payment.expires_at else None


def expected_money(payment: Payment, paid_centavos: int, paid_at: datetime) -> ExpectedMoney:
    """What the payment had to bring at `paid_at`.

    A confirmation does not say where the payer is. So the money is right if it is right in some
    region; otherwise the national holidays count.
    """
    terms = due_terms_of(payment)
    if terms is None:
        return ExpectedMoney(payment.amount_centavos, payment.expires_at, _purchase_of(payment))
    day = brasilia_day(paid_at)
    national = amount_on(payment, terms, day).final_centavos
    for region in REGIONS:
        deadline = deadline_of(payment, terms, region)
        if paid_at > deadline:
            continue
        if amount_on(payment, terms, day, region).final_centavos == paid_centavos:
            return ExpectedMoney(paid_centavos, deadline)
    return ExpectedMoney(national, payment.expires_at)


def _purchase_of(payment: Payment) -> int:
    """The centavos of the purchase beside an open withdrawal of cash; 0 without a withdrawal."""
    charge_terms = payment.charge_terms or {}
    return int(charge_terms[ORIGINAL]) if WITHDRAWAL in charge_terms else 0


def paid_components(
    charge_terms: Mapping[str, Any] | None, paid_centavos: int, paid_at: datetime
) -> AmountDue | None:
    """The components of money for a payment with these terms; None if it has no due date.

    None also for another amount than the one that was due on that day, which the merchant has
    attached to the payment.
    """
    if not charge_terms or DUE not in charge_terms:
        return None
    terms, original = DueTerms.from_json(charge_terms[DUE]), int(charge_terms[ORIGINAL])
    day = brasilia_day(paid_at)
    for region in REGIONS:
        last = terms.last_payable_day(region)
        components = amount_due(original, terms, min(day, last), region)
        if components.final_centavos == paid_centavos:
            return components
    return None


def deadline_of(payment: Payment, terms: DueTerms, region: str) -> datetime:
    """The last instant at which a payer of this region can pay."""
    if terms.last_payable_day(region) == terms.last_payable_day():
        return payment.expires_at
    return terms.deadline(region)
