"""Received money and its refunds: `/pix` (API Pix 2.9.0, tag Pix)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from flask import Blueprint
from pydantic import AfterValidator, Field
from werkzeug.wrappers import Response as BaseResponse

from blueprints.pix_api.access import merchant_for
from blueprints.pix_api.fields import TXID, PixBody, Valor, body_of
from blueprints.pix_api.lists import read_boolean, read_cnpj, read_cpf, read_window
from blueprints.pix_api.problems import PixProblem, refuse
from core.errors import (
    ConcurrentUpdate,
    IdempotencyConflict,
    NotRefundable,
    RefundExceedsPayment,
    RefundTooLate,
)
from core.money import plain
from core.receipt_errors import ReceiptNotAttachable
from db_models import Receipt, Refund
from payments import attaching, refunds
from payments.location import WITHDRAWAL
from payments.pix_objects import ORIGINAL, RETIRADA, devolucao_object, pix_object
from payments.refunds import RefundPart
from payments.schemas import NewRefund
from repository.database import Work, in_unit_of_work, reading
from repository.pix import PixFilters, PixReceipts, ReceivedPix
from web.answers import created_json, private_json

bp = Blueprint("pix_api_pix", __name__)

INVALID, UNREADABLE = "PixDevolucaoInvalida", "PixConsultaInvalida"
MISSING, MISSING_REFUND = "PixNaoEncontrado", "PixDevolucaoNaoEncontrada"
_END_TO_END_ID = re.compile(r"[a-zA-Z0-9._:\-]{1,128}", re.ASCII)
"""Also the ids that banks use outside of the standard's 32 letters and digits."""
_DESCRIPTION_MAX = 140


def _positive(centavos: int) -> int:
    if centavos == 0:
        raise ValueError("deve ser maior que zero")
    return centavos


class DevolucaoBody(PixBody):
    """`PUT /pix/{e2eid}/devolucao/{id}`."""

    valor: Annotated[Valor, AfterValidator(_positive)]
    natureza: Literal["ORIGINAL", "RETIRADA"] = ORIGINAL
    descricao: Annotated[str, Field(max_length=_DESCRIPTION_MAX)] | None = None


@dataclass(frozen=True)
class _OrderedRefund:
    refund: Refund
    receipt: Receipt
    is_repeated: bool


@bp.get("/pix/<e2eid>")
def get_pix(e2eid: str) -> BaseResponse:
    """One Pix with all its refunds."""
    with reading() as work:
        merchant = merchant_for(work, "pix.read")
        pix = _own(work, merchant.id, e2eid, MISSING)
    return private_json(pix_object(pix, merchant.pix_key))


@bp.get("/pix")
def list_pix() -> BaseResponse:
    """The Pix that were settled within a window, oldest first."""
    with reading() as work:
        merchant = merchant_for(work, "pix.read")
        readers = {
            "txid": _read_txid,
            "txIdPresente": read_boolean,
            "devolucaoPresente": read_boolean,
            "cpf": read_cpf,
            "cnpj": read_cnpj,
        }
        window = read_window(UNREADABLE, readers)
        asked_for = window.filters
        filters = PixFilters(
            *window.span,
            txid=asked_for.get("txid"),
            has_txid=asked_for.get("txIdPresente"),
            has_refund=asked_for.get("devolucaoPresente"),
            document=asked_for.get("cpf") or asked_for.get("cnpj"),
        )
        page, total = PixReceipts(work).page(merchant.id, filters, window.offset, window.size)
    body = {
        "parametros": window.parameters(total),
        "pix": [pix_object(pix, merchant.pix_key) for pix in page],
    }
    return private_json(body)


@bp.put("/pix/<e2eid>/devolucao/<refund_id>")
def put_devolucao(e2eid: str, refund_id: str) -> BaseResponse:
    """Give back the whole Pix or a part; the same id and body again give the first result."""

    def write(work: Work) -> _OrderedRefund:
        return _order(work, e2eid, refund_id)

    ordered = in_unit_of_work(write)
    refund = ordered.refund
    if not ordered.is_repeated and refunds.tell_bank(refund.id):
        with reading() as work:
            refund, _ = work.refunds.with_payment(refund.id)
    return created_json(devolucao_object(refund, ordered.receipt))


@bp.get("/pix/<e2eid>/devolucao/<refund_id>")
def get_devolucao(e2eid: str, refund_id: str) -> BaseResponse:
    """One refund as it stands."""
    with reading() as work:
        merchant = merchant_for(work, "pix.read")
        pix = _own(work, merchant.id, e2eid, MISSING_REFUND)
    for refund in pix.refunds:
        if refund.refund_id == refund_id:
            return private_json(devolucao_object(refund, pix.receipt))
    raise PixProblem(MISSING_REFUND, "Este Pix não tem devolução com este id.")


def _order(work: Work, e2eid: str, refund_id: str) -> _OrderedRefund:
    """Store the refund, or find the one of the same request. Raises PixProblem."""
    merchant = merchant_for(work, "pix.write")
    if not TXID.fullmatch(refund_id):
        raise refuse(INVALID, "O id não respeita o schema: 1 a 35 letras e dígitos.", "id")
    body = body_of(DevolucaoBody, "devolucao", INVALID)
    pix = _own(work, merchant.id, e2eid, MISSING)
    part = _part_of(pix, body.natureza)
    new_refund = NewRefund(refund_id=refund_id, description=body.descricao or None)
    new_refund.value = body.valor
    is_free = pix.receipt.payment_id is None
    try:
        refund, _, is_repeated = attaching.give_back(work, merchant, pix.receipt, new_refund, part)
    except ReceiptNotAttachable as error:
        if is_free:  # another request gave this money its payment meanwhile
            raise ConcurrentUpdate from error
        raise refuse(INVALID, error.detail, "e2eid", e2eid) from None
    except (NotRefundable, IdempotencyConflict) as error:
        raise _refusal(error, body, refund_id) from None
    return _OrderedRefund(refund, pix.receipt, is_repeated)


def _part_of(pix: ReceivedPix, natureza: str) -> RefundPart | None:
    """The part of a Pix Saque or Pix Troco; None for a common Pix. Raises PixProblem."""
    if WITHDRAWAL in (pix.charge_terms or {}):
        return RefundPart.WITHDRAWAL if natureza == RETIRADA else RefundPart.PURCHASE
    if natureza == RETIRADA:
        reason = "Este Pix não tem saque nem troco: a natureza deve ser ORIGINAL."
        raise refuse(INVALID, reason, "devolucao.natureza", natureza)
    return None


def _refusal(
    error: NotRefundable | IdempotencyConflict, body: DevolucaoBody, refund_id: str
) -> PixProblem:
    """The violation in the words of the standard (API Pix 2.9.0, PixDevolucaoInvalida)."""
    if isinstance(error, IdempotencyConflict):
        reason = "O id já foi utilizado por outra requisição de devolução deste Pix."
        return refuse(INVALID, reason, "id", refund_id)
    if isinstance(error, RefundTooLate):
        reason = "A devolução viola a janela de 90 dias desde a liquidação do Pix."
        return refuse(INVALID, reason, "e2eid")
    if isinstance(error, RefundExceedsPayment):
        reason = "A devolução, com as anteriores, excederia o valor do Pix originário."
        return refuse(INVALID, reason, "devolucao.valor", plain(body.valor))
    return PixProblem(INVALID, "Este Pix não pode ser devolvido agora.")


def _own(work: Work, merchant_id: int, e2eid: str, kind: str) -> ReceivedPix:
    """The merchant's Pix. Raises PixProblem of this kind, also for another merchant's."""
    pix = None
    if _END_TO_END_ID.fullmatch(e2eid):
        pix = PixReceipts(work).find(merchant_id, e2eid)
    if pix is None:
        raise PixProblem(kind, "Não há Pix recebido com este e2eid.")
    return pix


def _read_txid(text: str) -> str:
    if not TXID.fullmatch(text):
        raise ValueError("deve ter 1 a 35 letras e dígitos")
    return text
