"""Charges with a due date: `/cobv` (API Pix 2.9.0, tag CobV)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from blueprints.pix_api import due_changes, due_presenter
from blueprints.pix_api.access import count_change, merchant_for
from blueprints.pix_api.charge_reading import ChargeReading
from blueprints.pix_api.due_changes import INVALID
from blueprints.pix_api.fields import TXID_OF_CHARGE, json_object
from blueprints.pix_api.problems import refuse
from config import current_settings
from db_models import ChargeKind, Payment
from repository.database import Work, in_unit_of_work
from web.answers import created_json, private_json

bp = Blueprint("pix_api_cobv", __name__)


@bp.put("/cobv/<txid>")
def put_cobv(txid: str) -> BaseResponse:
    """Create a charge with this txid, or replace what an active one asks."""

    def write(work: Work) -> dict[str, Any]:
        merchant = merchant_for(work, "cobv.write")
        if not TXID_OF_CHARGE.fullmatch(txid):
            reason = "O txid não respeita o schema: 26 a 35 letras e dígitos."
            raise refuse(INVALID, reason, "txid", txid)
        body = due_changes.body_from(json_object())
        payment = work.charges.find(merchant, txid)
        if payment is not None and payment.charge_kind != ChargeKind.COBV:
            raise due_changes.used_txid(txid)
        count_change(merchant)
        if payment is not None:
            return presented(due_changes.revise(work, payment, body))
        if work.charge_batches.has_item(merchant.id, txid):
            reason = "O txid está associado a um lote, que não criou esta cobrança."
            raise refuse(INVALID, reason, "txid", txid)
        return presented(due_changes.create(work, merchant, body, txid))

    return created_json(in_unit_of_work(write))


@bp.patch("/cobv/<txid>")
def patch_cobv(txid: str) -> BaseResponse:
    """Change members of an active charge, or remove it."""

    def write(work: Work) -> dict[str, Any]:
        merchant = merchant_for(work, "cobv.write")
        changes = json_object()
        payment = COBVS.own(work, merchant, txid)
        if changes.get("status") is not None:
            return presented(due_changes.remove(work, payment, merchant, changes))
        body = due_changes.revised_body(payment, changes)
        count_change(merchant)
        return presented(due_changes.revise(work, payment, body))

    return private_json(in_unit_of_work(write))


@bp.get("/cobv/<txid>")
def get_cobv(txid: str) -> BaseResponse:
    """The charge as it stands, or as it stood at `revisao`."""
    return private_json(COBVS.one(txid))


@bp.get("/cobv")
def list_cobv() -> BaseResponse:
    """The charges that were created within a window, oldest first."""
    return private_json(COBVS.page())


def presented(payment: Payment) -> dict[str, Any]:
    """The JSON object of the charge."""
    return due_presenter.due_charge(payment, current_settings().location_base)


COBVS = ChargeReading(
    ChargeKind.COBV,
    unreadable="CobVConsultaInvalida",
    missing="CobVNaoEncontrada",
    missing_detail="Não há cobrança com vencimento com este txid.",
    presented=presented,
)
