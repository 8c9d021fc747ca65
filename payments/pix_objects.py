"""A Pix and its refunds in the words of API Pix 2.9.0 (schemas `Pix` and `Devolucao`).

The answers of API Pix and the callbacks to shops show the same objects.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from datetime import UTC
from hashlib import sha256
from typing import Any, Final

from core.clock import rfc3339
from core.ids import END_TO_END_ID
from core.money import plain
from db_models import Receipt, Refund, RefundStatus
from payments.due_charges import paid_components
from payments.location import ORIGINAL as ORIGINAL_CENTAVOS
from payments.location import WITHDRAWAL
from repository.pix import ReceivedPix

ORIGINAL: Final = "ORIGINAL"
RETIRADA: Final = "RETIRADA"
"""The `natureza` of refunds that the merchant orders; a bank names that of its own."""
_STATUSES = {
    RefundStatus.PROCESSING: "EM_PROCESSAMENTO",
    RefundStatus.DONE: "DEVOLVIDO",
    RefundStatus.FAILED: "NAO_REALIZADO",
}
_REASONS = {
    "refund-failed": "O banco não conseguiu devolver o valor: verifique o saldo da conta.",
    "insufficient-funds": "A conta não tem saldo para a devolução.",
    "refund-too-late": "O prazo de 90 dias para devolver este Pix acabou.",
    "refund-too-large": "O valor passa do que resta deste Pix.",
}
_ALPHABET = string.digits + string.ascii_letters
_RANDOM_CHARACTERS = 11


def pix_object(
    pix: ReceivedPix, pix_key: str | None, statuses: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A Pix. `pix_key` is its merchant's key, which counts if no static code named another.

    `statuses` are the refunds as they stood at an event, by row id (`payments.snapshots`); None
    for all refunds as they stand now.
    """
    receipt = pix.receipt
    value = plain(receipt.amount_centavos)
    members: dict[str, Any] = {
        "endToEndId": receipt.end_to_end_id,
        "txid": pix.txid,
        "valor": value,
        "componentesValor": _components(pix),
        "chave": receipt.pix_key or pix_key,
        "horario": rfc3339(receipt.paid_at),
        "infoPagador": receipt.payer_message,
    }
    refunds = [
        devolucao_object(refund, receipt, None if statuses is None else statuses[str(refund.id)])
        for refund in pix.refunds
        if statuses is None or str(refund.id) in statuses
    ]
    if refunds:
        members["devolucoes"] = refunds
    return {name: value for name, value in members.items() if value is not None}


def _components(pix: ReceivedPix) -> dict[str, Any]:
    """The member `componentesValor`; a component of zero is left out."""
    receipt = pix.receipt
    terms = pix.charge_terms or {}
    if WITHDRAWAL in terms:
        return _with_withdrawal(receipt, terms)
    sums = paid_components(pix.charge_terms, receipt.amount_centavos, receipt.paid_at)
    if sums is None:
        return {"original": {"valor": plain(receipt.amount_centavos)}}
    others = {
        "juros": sums.interest_centavos,
        "multa": sums.fine_centavos,
        "abatimento": sums.abatement_centavos,
        "desconto": sums.discount_centavos,
    }
    centavos = {"original": sums.original_centavos} | {k: v for k, v in others.items() if v}
    return {name: {"valor": plain(amount)} for name, amount in centavos.items()}


def _with_withdrawal(receipt: Receipt, terms: Mapping[str, Any]) -> dict[str, Any]:
    """The purchase and the cash; the payer may have changed the cash, but not the purchase."""
    [(kind, withdrawal)] = terms[WITHDRAWAL].items()
    purchase = int(terms[ORIGINAL_CENTAVOS])
    agent = {name: withdrawal[name] for name in ("modalidadeAgente", "prestadorDoServicoDeSaque")}
    cash = {"valor": plain(receipt.amount_centavos - purchase), **agent}
    return {"original": {"valor": plain(purchase)}, kind: cash}


def devolucao_object(refund: Refund, receipt: Receipt, status: str | None = None) -> dict[str, Any]:
    """A refund of this receipt; `status` is the one to show, if it is not the present one."""
    status_now = RefundStatus(status or refund.status)
    times = {"solicitacao": rfc3339(refund.requested_at)}
    if status_now is RefundStatus.DONE and refund.settled_at is not None:
        times["liquidacao"] = rfc3339(refund.settled_at)
    members: dict[str, Any] = {
        "id": refund.refund_id,
        "rtrId": refund.return_id or return_id_of(refund, receipt.end_to_end_id),
        "valor": plain(refund.amount_centavos),
        "natureza": refund.nature or (RETIRADA if refund.of_withdrawal else ORIGINAL),
        "descricao": refund.description,
        "horario": times,
        "status": _STATUSES[status_now],
        "motivo": motivo(refund.reason) if status_now is RefundStatus.FAILED else None,
    }
    return {name: value for name, value in members.items() if value is not None}


def motivo(reason: str | None) -> str:
    """Why a refund was not made, as a sentence of at most 140 characters."""
    return _REASONS.get(reason or "", f"O banco recusou a devolução ({reason}).")


def return_id_of(refund: Refund, end_to_end_id: str | None) -> str:
    """The rtrId that the bank is asked to use: `D`, ISPB, the minute in UTC, 11 characters.

    The standard shows an rtrId from the start, before any bank has answered. The ISPB is the one of
    the payment's id, because the service knows no other.
    """
    ispb = "00000000"
    if end_to_end_id is not None and END_TO_END_ID.fullmatch(end_to_end_id):
        ispb = end_to_end_id[1:9]
    number = int.from_bytes(sha256(refund.bank_refund_id.encode()).digest())
    letters = ""
    for _ in range(_RANDOM_CHARACTERS):
        number, index = divmod(number, len(_ALPHABET))
        letters += _ALPHABET[index]
    return f"D{ispb}{refund.requested_at.astimezone(UTC):%Y%m%d%H%M}{letters}"
