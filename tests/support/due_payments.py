"""Payments with a due date, made as a client of API Pix makes them."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Flask

from accounts.access import DEMO_LOGIN
from core.pix.due_terms import DueTerms
from db_models import ChargeKind
from payments import charges, due_charges
from payments.charges import ChargeValues
from repository.database import in_unit_of_work


def open_due_charge(
    app: Flask, due_date: date, *, original_centavos: int = 10_000, **terms: Any
) -> dict[str, Any]:
    """A pending charge of the demo merchant: its `id`, `token`, `code` and original `value`."""
    due_terms = DueTerms(due_date, **terms)

    def open_it(work: Any) -> dict[str, Any]:
        merchant = work.accounts.find_by_login(DEMO_LOGIN)
        values = ChargeValues(
            amount_centavos=original_centavos,
            expires_at=due_terms.deadline(),
            payer_name="Bia Lima",
            payer_document="12345678909",
            charge_terms=due_charges.with_due_terms({}, original_centavos, due_terms),
        )
        payment = charges.open_charge(
            work,
            merchant,
            values,
            txid=None,
            charge_kind=ChargeKind.COBV,
            location=None,
            location_base=app.config["BALCAO"].location_base,
        )
        return {
            "id": payment.txid,
            "token": payment.location,
            "code": payment.br_code,
            "value": original_centavos / 100,
        }

    with app.app_context():
        return in_unit_of_work(open_it)
