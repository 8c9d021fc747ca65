"""Immediate charges: `/cob` (API Pix 2.9.0, tag Cob)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from accounts.access import development_only
from blueprints.pix_api import presenter
from blueprints.pix_api.access import count_change, merchant_for
from blueprints.pix_api.charge_bodies import CobBody, faults_of_key, members_of, merged
from blueprints.pix_api.charge_reading import ChargeReading
from blueprints.pix_api.charge_removal import finality, remove
from blueprints.pix_api.fields import TXID_OF_CHARGE, checked, json_object
from blueprints.pix_api.loc_routes import location_for
from blueprints.pix_api.problems import PixProblem, refuse, refuse_any
from config import current_settings
from core.errors import Conflict
from core.provider_errors import ProviderRefused
from db_models import Account, ChargeKind, Payment, PaymentStatus
from payments import charges, robot
from payments.at_bank.closing import BankQuestion
from payments.at_bank.drafts import awaits_code
from payments.at_bank.waiting import wait_for_code
from payments.lifecycle import status_at
from payments.robot_fields import RobotTerms
from repository.database import Work, in_unit_of_work, reading
from web.answers import created_json, private_json

bp = Blueprint("pix_api_cob", __name__)

INVALID = "CobOperacaoInvalida"


@bp.put("/cob/<txid>")
def put_cob(txid: str) -> BaseResponse:
    """Create a charge with this txid, or replace what an active one asks."""

    def write(work: Work) -> Payment:
        merchant = merchant_for(work, "cob.write")
        if not TXID_OF_CHARGE.fullmatch(txid):
            reason = "O txid não respeita o schema: 26 a 35 letras e dígitos."
            raise refuse(INVALID, reason, "txid", txid)
        body = _checked(json_object(), merchant)
        payment = work.charges.find(merchant, txid)
        if payment is None:
            return _create(work, merchant, body, txid)
        if payment.charge_kind != ChargeKind.COB:
            raise refuse(INVALID, "O txid já foi usado em outra cobrança.", "txid", txid)
        return _revise(work, payment, body)

    return created_json(_with_code(in_unit_of_work(write)))


@bp.post("/cob")
def post_cob() -> BaseResponse:
    """Create a charge with a txid of ours."""

    def write(work: Work) -> Payment:
        merchant = merchant_for(work, "cob.write")
        body = _checked(json_object(), merchant)
        return _create(work, merchant, body, None)

    return created_json(_with_code(in_unit_of_work(write)))


@bp.patch("/cob/<txid>")
def patch_cob(txid: str) -> BaseResponse:
    """Change members of an active charge, or remove it."""
    question = BankQuestion()

    def write(work: Work) -> dict[str, Any]:
        merchant = merchant_for(work, "cob.write")
        changes = json_object()
        payment = COBS.own(work, merchant, txid)
        if changes.get("status") is not None:
            question.before(work, payment)
            return presented(remove(work, payment, merchant, changes, INVALID, CobBody))
        body = _checked(merged(members_of(payment), changes), merchant)
        return presented(_revise(work, payment, body, keeps_payer=body.devedor is None))

    return private_json(question.run(write))


@bp.get("/cob/<txid>")
def get_cob(txid: str) -> BaseResponse:
    """The charge as it stands, or as it stood at `revisao`."""
    return private_json(COBS.one(txid))


@bp.get("/cob")
def list_cob() -> BaseResponse:
    """The charges that were created within a window, oldest first."""
    return private_json(COBS.page())


@bp.post("/cob/pagar/<txid>")
@development_only
def pay_cob(txid: str) -> BaseResponse:
    """Order the simulated bank's robot to pay the charge: an extension, not of the standard."""

    def order(work: Work) -> Payment:
        merchant = merchant_for(work, "cob.write")
        payment = COBS.own(work, merchant, txid)
        if status_at(payment, work.now) is not PaymentStatus.PENDING:
            reason = "A cobrança já foi paga ou removida, ou expirou: não pode ser paga."
            raise refuse(INVALID, reason, "cob.status", presenter.status_of(payment))
        if work.robot_payments.row_of(payment.txid) is None:
            robot.order(work, payment, RobotTerms())
        return payment

    payment = in_unit_of_work(order)
    robot.announce_order(payment.txid)
    return private_json(presented(payment))


def _with_code(payment: Payment) -> dict[str, Any]:
    """The JSON object of the charge, once a real bank has given its code.

    A repeated request finds the same charge. Raises PixProblem, and ProviderUnavailable.
    """
    if awaits_code(payment):
        try:
            wait_for_code(payment.txid)
        except ProviderRefused as refused:
            raise refuse(INVALID, refused.detail, "cob") from refused
        with reading() as work:
            payment = work.payments.by_txid(payment.txid)
    return presented(payment)


def presented(payment: Payment) -> dict[str, Any]:
    """The JSON object of the charge."""
    return presenter.charge(payment, current_settings().location_base)


COBS = ChargeReading(
    ChargeKind.COB,
    unreadable="CobConsultaInvalida",
    missing="CobNaoEncontrado",
    missing_detail="Não há cobrança com este txid.",
    presented=presented,
)


def _checked(members: dict[str, Any], merchant: Account) -> CobBody:
    """The members as a body. Raises PixProblem, which says also if the key is a stranger's."""
    try:
        return checked(CobBody, members, "cob", INVALID)
    except PixProblem as problem:
        key = members.get("chave")
        is_key_read = not any(fault.path == "cob.chave" for fault in problem.violations)
        if is_key_read and isinstance(key, str):
            faults = [*problem.violations, *faults_of_key(key, merchant, "cob")]
            raise PixProblem(INVALID, problem.detail, faults) from None
        raise


def _create(work: Work, merchant: Account, body: CobBody, txid: str | None) -> Payment:
    count_change(merchant)
    refuse_any(INVALID, body.faults(merchant))
    location = location_for(work, merchant, body.loc, ChargeKind.COB, INVALID)
    try:
        return charges.open_charge(
            work,
            merchant,
            body.values(work.now),
            txid=txid,
            charge_kind=ChargeKind.COB,
            location=location,
            location_base=current_settings().location_base,
        )
    except Conflict as error:
        raise as_violation(error, INVALID, "cob") from None


def _revise(work: Work, payment: Payment, body: CobBody, *, keeps_payer: bool = False) -> Payment:
    """Replace what the charge asks; `keeps_payer` for a body that says nothing of the debtor."""
    count_change(payment.merchant)
    faults = body.faults(payment.merchant)
    refuse_any(INVALID, [*faults, *finality(payment)])
    location = location_for(work, payment.merchant, body.loc, ChargeKind.COB, INVALID)
    try:
        values = body.values(payment.created_at)
        if keeps_payer:
            # The other interface knows payers without a document, which are no `devedor`.
            values = replace(
                values, payer_name=payment.payer_name, payer_document=payment.payer_document
            )
        charges.revise(work, payment, values)
        if location is not None:
            charges.bind(work, payment, location, current_settings().location_base)
    except Conflict as error:
        raise as_violation(error, INVALID, "cob") from None
    return payment


def as_violation(error: Conflict, kind: str, head: str) -> PixProblem:
    """A rule of the domain that refused, as an error of the operation."""
    reason, member = _REASONS.get(error.code, (error.detail, ""))
    return refuse(kind, reason, f"{head}{member}")


_REASONS = {
    "provider-unsupported": (
        "O banco deste recebedor cria cobranças simples, que depois só podem ser removidas.",
        "",
    ),
    "location-unusable": (
        "O location referenciado por loc.id já está sendo utilizado por outra cobrança.",
        ".loc.id",
    ),
    "order-already-has-payment": (
        "O pedido desta cobrança já tem outra cobrança ativa ou concluída.",
        ".calendario.expiracao",
    ),
}
"""By the code of the domain's error: the reason, and the member at fault."""
