"""Requests to payers to confirm a recurrence: `/solicrec` (API Pix 2.9.0, tag SolicRec)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from blueprints.pix_api.access import count_change, merchant_for
from blueprints.pix_api.fields import body_of
from blueprints.pix_api.problems import PixProblem, Violation, refuse, refuse_any
from blueprints.pix_api.rec_reading import own_recurrence
from blueprints.pix_api.solicrec_bodies import SolicRecBody, SolicRecPatch, faults_of_expiry
from blueprints.pix_api.solicrec_presenter import request_object
from core.merchant_errors import RequestEnded
from core.pix.recurrence_rules import ID_SOLIC_REC
from db_models import Account, RecurrenceStatus
from payments.recurring import requests
from providers.accounts import signing_bank_of
from repository.database import Work, in_unit_of_work, reading
from repository.recurrence_requests import RequestRecord
from repository.recurrences import RecurrenceRecord
from web.answers import created_json, private_json

bp = Blueprint("pix_api_solicrec", __name__)

INVALID, MISSING = "SolicRecOperacaoInvalida", "SolicRecNaoEncontrada"


@bp.post("/solicrec")
def post_solicrec() -> BaseResponse:
    """Ask a payer to confirm a recurrence."""

    def write(work: Work) -> dict[str, Any]:
        merchant = merchant_for(work, "solicrec.write")
        body = body_of(SolicRecBody, "solicrec", INVALID)
        recurrence = own_recurrence(work, merchant, body.idRec)
        count_change(merchant)
        faults = faults_of_expiry(body.expires_at, work.now)
        faults += _faults_of_recurrence(work, recurrence)
        if signing_bank_of(merchant.id) is None:
            faults.append(Violation(_NO_BANK, "solicrec.destinatario.ispbParticipante"))
        refuse_any(INVALID, faults)
        record = requests.create(work, merchant, recurrence, body.recipient(), body.expires_at)
        return request_object(record, recurrence, merchant)

    return created_json(in_unit_of_work(write))


@bp.get("/solicrec/<id_solic_rec>")
def get_solicrec(id_solic_rec: str) -> BaseResponse:
    """A request and what came of it."""
    with reading() as work:
        merchant = merchant_for(work, "solicrec.read")
        record = _own(work, merchant, id_solic_rec)
        recurrence = own_recurrence(work, merchant, record.id_rec)
    return private_json(request_object(record, recurrence, merchant))


@bp.patch("/solicrec/<id_solic_rec>")
def patch_solicrec(id_solic_rec: str) -> BaseResponse:
    """Take a request back; 201, as the standard has it."""

    def write(work: Work) -> dict[str, Any]:
        merchant = merchant_for(work, "solicrec.write")
        body_of(SolicRecPatch, "solicrec", INVALID)
        record = _own(work, merchant, id_solic_rec)
        count_change(merchant)
        try:
            record = requests.cancel(work, merchant.id, record)
        except RequestEnded:
            raise refuse(INVALID, _ENDED, "solicrec.status", "CANCELADA") from None
        recurrence = own_recurrence(work, merchant, record.id_rec)
        return request_object(record, recurrence, merchant)

    return created_json(in_unit_of_work(write))


def _own(work: Work, merchant: Account, id_solic_rec: str) -> RequestRecord:
    """The merchant's request. Raises PixProblem."""
    is_id = ID_SOLIC_REC.fullmatch(id_solic_rec) is not None
    record = work.recurrence_requests.find(merchant.id, id_solic_rec) if is_id else None
    if record is None:
        raise PixProblem(MISSING, "Não há solicitação de recorrência com este idSolicRec.")
    return record


def _faults_of_recurrence(work: Work, recurrence: RecurrenceRecord) -> list[Violation]:
    """The violations by the recurrence's status and by its open request.

    A request whose time has passed is closed here if the job has not come to it yet.
    """
    if recurrence.recurrence.status != RecurrenceStatus.CREATED:
        return [Violation(_NOT_CREATED, "solicrec.idRec", recurrence.recurrence.id_rec)]
    earlier = work.recurrence_requests.open_of(recurrence.recurrence.id)
    if earlier is None or requests.end_late(work, earlier):
        return []
    return [Violation(_OPEN, "solicrec.idRec", recurrence.recurrence.id_rec)]


_NO_BANK = "Este serviço não tem conexão com o PSP do pagador."
_NOT_CREATED = "A recorrência referenciada por solicrec.idRec não apresenta o status CRIADA."
_OPEN = "Existe uma solicitação ativa referente ao mesmo solicrec.idRec."
_ENDED = (
    "Não é possível cancelar uma solicitação de recorrência com o status diferente de CRIADA, "
    "ENVIADA ou RECEBIDA."
)
