"""The payload that the location of a charge with a due date serves: the sums of one day.

Source: API Pix 2.9.0, tag CobPayload, schema CobVPayload, and error CobPayloadOperacaoInvalida.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from core.clock import rfc3339
from core.errors import FieldError, InvalidRequest
from core.money import plain
from core.pix.business_days import brasilia_day, region_of
from core.pix.due_amounts import AmountDue
from core.pix.due_terms import DueTerms
from db_models import Payment
from payments import due_charges
from payments.location import common_members
from payments.payees import payee_of

_CPF_DIGITS = 11
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True)
class PaymentPlan:
    """Where and on which day the payer means to pay."""

    region: str
    day: date | None
    """None if the payer's bank names no day."""


def read_plan(municipality: str | None, day: str | None, now: datetime) -> PaymentPlan:
    """The plan in the parameters `codMun` and `DPP`. Raises InvalidRequest with every fault."""
    faults = []
    region, planned_day = region_of(None), None
    try:
        region = region_of(municipality)
    except ValueError as error:
        faults.append(FieldError("codMun", str(error)))
    if day is not None:
        try:
            planned_day = _day_of(day)
            if planned_day < brasilia_day(now):
                faults.append(FieldError("DPP", "must not be in the past"))
        except ValueError:
            faults.append(FieldError("DPP", "must be a date that exists, as 2026-01-31"))
    if faults:
        raise InvalidRequest(faults)
    return PaymentPlan(region, planned_day)


def _day_of(text: str) -> date:
    if not _DAY.fullmatch(text):
        raise ValueError
    return date.fromisoformat(text)


def day_of_sums(plan: PaymentPlan, terms: DueTerms, now: datetime) -> date:
    """The day for which the sums are computed. Raises InvalidRequest after the last payable day.

    Without a day, the due date counts until it has passed, and then today.
    """
    last = terms.last_payable_day(plan.region)
    if plan.day is None:
        return max(brasilia_day(now), terms.due_date)
    if plan.day > last:
        raise InvalidRequest([FieldError("DPP", f"must be at most {last}, the last payable day")])
    return plan.day


def due_payload(
    payment: Payment, terms: DueTerms, day: date, region: str, now: datetime
) -> dict[str, Any]:
    """The payload of a charge that can be paid, with the sums of this day."""
    sums = due_charges.amount_on(payment, terms, day, region)
    return {
        **common_members(payment),
        "calendario": {
            "criacao": rfc3339(payment.created_at),
            "apresentacao": rfc3339(now),
            "dataDeVencimento": terms.due_date.isoformat(),
            "validadeAposVencimento": terms.days_after_due,
        },
        "valor": sums_of(sums),
        "devedor": _debtor_of(payment),
        "recebedor": payee_of(payment.merchant),
    }


def _debtor_of(payment: Payment) -> dict[str, str]:
    document = payment.payer_document or ""
    name = "cpf" if len(document) == _CPF_DIGITS else "cnpj"
    return {name: document, "nome": payment.payer_name or ""}


def sums_of(sums: AmountDue) -> Mapping[str, str]:
    """The sums in reais (CobVPayloadValor); a component of zero is left out."""
    components = {
        "multa": sums.fine_centavos,
        "juros": sums.interest_centavos,
        "abatimento": sums.abatement_centavos,
        "desconto": sums.discount_centavos,
    }
    return {
        "original": plain(sums.original_centavos),
        **{name: plain(centavos) for name, centavos in components.items() if centavos},
        "final": plain(sums.final_centavos),
    }
