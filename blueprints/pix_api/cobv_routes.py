"""Charges with a due date: `/cobv` (API Pix 2.9.0, tag CobV)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from blueprints.pix_api import due_presenter, presenter
from blueprints.pix_api.access import count_change, merchant_for
from blueprints.pix_api.charge_bodies import merged
from blueprints.pix_api.charge_reading import REMOVED, ChargeReading
from blueprints.pix_api.cob_routes import as_violation
from blueprints.pix_api.due_bodies import CobVBody, due_members_of
from blueprints.pix_api.fields import TXID_OF_CHARGE, checked, json_object
from blueprints.pix_api.loc_routes import location_for
from blueprints.pix_api.problems import PixProblem, Violation, refuse
from config import current_settings
from core.errors import Conflict
from db_models import Account, ChargeKind, Payment
from payments import charges
from repository.database import Work, in_unit_of_work
from web.answers import created_json, private_json

bp = Blueprint("pix_api_cobv", __name__)

INVALID = "CobVOperacaoInvalida"


@bp.put("/cobv/<txid>")
def put_cobv(txid: str) -> BaseResponse:
    """Create a charge with this txid, or replace what an active one asks."""

    def write(work: Work) -> dict[str, Any]:
        merchant = merchant_for(work, "cobv.write")
        if not TXID_OF_CHARGE.fullmatch(txid):
            reason = "O txid não respeita o schema: 26 a 35 letras e dígitos."
            raise refuse(INVALID, reason, "txid", txid)
        body = checked(CobVBody, json_object(), "cobv", INVALID)
        payment = work.charges.find(merchant, txid)
        if payment is None:
            return presented(create(work, merchant, body, txid))
        if payment.charge_kind != ChargeKind.COBV:
            raise refuse(INVALID, "O txid já foi usado em outra cobrança.", "txid", txid)
        return presented(revise(work, payment, body))

    return created_json(in_unit_of_work(write))


@bp.patch("/cobv/<txid>")
def patch_cobv(txid: str) -> BaseResponse:
    """Change members of an active charge, or remove it."""

    def write(work: Work) -> dict[str, Any]:
        merchant = merchant_for(work, "cobv.write")
        changes = json_object()
        payment = COBVS.own(work, merchant, txid)
        if changes.get("status") is not None:
            return presented(_remove(work, payment, merchant, changes))
        body = checked(CobVBody, merged(due_members_of(payment), changes), "cobv", INVALID)
        return presented(revise(work, payment, body))

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


def create(work: Work, merchant: Account, body: CobVBody, txid: str) -> Payment:
    """Open a charge. Raises PixProblem."""
    count_change(merchant)
    _raise_any(body.faults(merchant, work.now, work.now))
    location = location_for(work, merchant, body.loc, ChargeKind.COBV, INVALID)
    try:
        return charges.open_charge(
            work,
            merchant,
            body.values(),
            txid=txid,
            charge_kind=ChargeKind.COBV,
            location=location,
            location_base=current_settings().location_base,
        )
    except Conflict as error:
        raise as_violation(error, INVALID, "cobv") from None


def revise(work: Work, payment: Payment, body: CobVBody) -> Payment:
    """Replace what an active charge asks. Raises PixProblem."""
    count_change(payment.merchant)
    faults = body.faults(payment.merchant, payment.created_at, work.now)
    _raise_any([*faults, *_finality(payment)])
    location = location_for(work, payment.merchant, body.loc, ChargeKind.COBV, INVALID)
    try:
        charges.revise(work, payment, body.values())
        if location is not None:
            charges.bind(work, payment, location, current_settings().location_base)
    except Conflict as error:
        raise as_violation(error, INVALID, "cobv") from None
    return payment


def _remove(work: Work, payment: Payment, merchant: Account, changes: dict[str, Any]) -> Payment:
    faults = []
    if changes["status"] != REMOVED:
        reason = "O campo cobv.status não respeita o schema."
        faults.append(Violation(reason, "cobv.status", changes["status"]))
    others = [name for name in CobVBody.model_fields if changes.get(name) is not None]
    if others:
        reason = "A cobrança não pode ser removida e alterada na mesma requisição."
        faults.append(Violation(reason, f"cobv.{others[0]}"))
    _raise_any([*faults, *_finality(payment)])
    charges.remove(work, payment, merchant)
    return payment


def _finality(payment: Payment) -> list[Violation]:
    """The violation of changing a charge that is paid or removed."""
    if not charges.is_final(payment.status):
        return []
    reason = "A cobrança não está ATIVA, e a presente requisição busca alterá-la."
    return [Violation(reason, "cobv.status", presenter.status_of(payment))]


def _raise_any(faults: list[Violation]) -> None:
    if faults:
        raise PixProblem(INVALID, faults[0].reason, faults)
