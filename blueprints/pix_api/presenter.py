"""The JSON objects of charges and locations (API Pix 2.9.0, CobCompleta, PayloadLocation)."""

from __future__ import annotations

from typing import Any

from blueprints.pix_api.charge_bodies import debtor_of
from core.clock import rfc3339
from core.money import plain
from core.pix.br_code import BrCodeError, decode
from db_models import Payment, PaymentStatus
from payments.location import INFO, ORIGINAL, WITHDRAWAL, location_text
from repository.locations import ListedLocation, number_of

STATUS_OF = {
    PaymentStatus.PENDING: "ATIVA",
    PaymentStatus.EXPIRED: "ATIVA",
    PaymentStatus.CONFIRMED: "CONCLUIDA",
    PaymentStatus.CANCELLED: "REMOVIDA_PELO_USUARIO_RECEBEDOR",
}
"""API Pix has no status for a charge after its deadline: it stays active (CobrancaStatus)."""


def status_of(payment: Payment) -> str:
    """The status of a charge in the standard's words."""
    return STATUS_OF[PaymentStatus(payment.status)]


def charge(payment: Payment, location_base: str) -> dict[str, Any]:
    """An immediate charge, without its Pix."""
    lifetime = payment.expires_at - payment.created_at
    body: dict[str, Any] = {
        "calendario": {
            "criacao": rfc3339(payment.created_at),
            "expiracao": int(lifetime.total_seconds()),
        },
        "txid": payment.pix_txid,
        "revisao": payment.revision,
        "status": status_of(payment),
        "valor": _value(payment),
        "chave": payment.merchant.pix_key,
    }
    return {**body, **texts(payment), **shown_by(payment, location_base)}


def _value(payment: Payment) -> dict[str, Any]:
    terms = payment.charge_terms or {}
    value: dict[str, Any] = {"original": plain(terms.get(ORIGINAL, payment.amount_centavos))}
    if WITHDRAWAL in terms:
        value["retirada"] = terms[WITHDRAWAL]
    elif payment.payer_sets_amount:
        value["modalidadeAlteracao"] = 1
    return value


def texts(payment: Payment) -> dict[str, Any]:
    """The debtor and the texts of a charge, those that it has."""
    members = {
        "devedor": debtor_of(payment),
        "solicitacaoPagador": payment.description,
        "infoAdicionais": (payment.charge_terms or {}).get(INFO),
    }
    return {name: value for name, value in members.items() if value}


def _location_in(code: str) -> str:
    """The location in a code that a real bank made; empty if it is not readable."""
    try:
        return decode(code).url or ""
    except BrCodeError:
        return ""


def shown_by(payment: Payment, location_base: str) -> dict[str, Any]:
    """The location of a charge, and its BR Code; nothing while no location shows it."""
    if not payment.has_location:
        return {}
    if payment.provider_account_id is None:
        text = location_text(location_base, payment.charge_kind, payment.location)
    else:
        text = _location_in(payment.br_code)
    return {
        "loc": {
            "id": number_of(payment.location),
            "txid": payment.pix_txid,
            "location": text,
            "tipoCob": payment.charge_kind,
            "criacao": rfc3339(payment.location_created_at or payment.created_at),
        },
        "location": text,
        "pixCopiaECola": payment.br_code,
    }


def location(listed: ListedLocation, location_base: str) -> dict[str, Any]:
    """A location, with the txid of the charge that it shows."""
    body: dict[str, Any] = {
        "id": listed.number,
        "location": location_text(location_base, listed.charge_kind, listed.token),
        "tipoCob": listed.charge_kind,
        "criacao": rfc3339(listed.created_at),
    }
    return {**body, "txid": listed.pix_txid} if listed.pix_txid else body
