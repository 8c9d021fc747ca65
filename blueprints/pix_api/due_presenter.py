"""The JSON object of a charge with a due date (API Pix 2.9.0, CobVCompleta)."""

from __future__ import annotations

from typing import Any

from blueprints.pix_api.due_bodies import calendar_members, due_debtor_of, value_members
from blueprints.pix_api.presenter import shown_by, status_of, texts
from core.clock import rfc3339
from db_models import Payment
from payments.due_charges import due_terms_of, original_of
from payments.payees import payee_of


def due_charge(payment: Payment, location_base: str) -> dict[str, Any]:
    """A charge with a due date, without its Pix. Raises ValueError for another kind of charge."""
    terms = due_terms_of(payment)
    if terms is None:
        raise ValueError("must be a charge with a due date")
    return {
        **texts(payment),
        "calendario": {"criacao": rfc3339(payment.created_at), **calendar_members(terms)},
        "txid": payment.pix_txid,
        "revisao": payment.revision,
        "status": status_of(payment),
        "devedor": due_debtor_of(payment),
        "recebedor": payee_of(payment.merchant),
        "valor": value_members(original_of(payment), terms),
        "chave": payment.merchant.pix_key,
        **shown_by(payment, location_base),
    }
