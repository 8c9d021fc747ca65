"""Charges of recurrences: `/cobr` (API Pix 2.9.0, tag CobR)."""

from __future__ import annotations

from itertools import count
from typing import Any

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from blueprints.pix_api import rec_presenter
from blueprints.pix_api.access import count_change, merchant_for
from blueprints.pix_api.cobr_bodies import CobRBody, CobRPatch, retry_faults
from blueprints.pix_api.due_bodies import day_of
from blueprints.pix_api.fields import TXID_OF_CHARGE, body_of
from blueprints.pix_api.lists import one_of, read_cnpj, read_cpf, read_text, read_window
from blueprints.pix_api.problems import PixProblem, Violation, refuse, refuse_any
from core.pix.business_days import brasilia_day
from core.pix.recurrence_rules import Periodicity
from core.pix.recurring_charge_rules import cycle_of
from db_models import Account, ChargeKind, RecurrenceStatus, RecurringChargeStatus
from payments.lifecycle import is_due
from payments.recurring import charges
from payments.recurring.charge_objects import CHARGE_WORDS, charge_object
from repository.database import Work, in_unit_of_work, reading
from repository.recurring_charges import (
    OPEN,
    ChargeTarget,
    RecurringChargeFilters,
    RecurringChargeRecord,
)
from web.answers import created_json, private_json

bp = Blueprint("pix_api_cobr", __name__)

INVALID, UNREADABLE, MISSING = "CobROperacaoInvalida", "CobRConsultaInvalida", "CobRNaoEncontrado"
_STATUSES = {word: status for status, word in CHARGE_WORDS.items()}
_STATUS, _DUE = "cobr.status", "cobr.calendario.dataDeVencimento"


@bp.put("/cobr/<txid>")
def put_cobr(txid: str) -> BaseResponse:
    """Charge one cycle of a recurrence, by this txid."""
    if not TXID_OF_CHARGE.fullmatch(txid):
        reason = "O txid não respeita o schema: 26 a 35 letras e dígitos."
        raise refuse(INVALID, reason, "txid", txid)
    return _create(txid)


@bp.post("/cobr")
def post_cobr() -> BaseResponse:
    """Charge one cycle of a recurrence, by a txid of ours."""
    return _create(None)


@bp.patch("/cobr/<txid>")
def patch_cobr(txid: str) -> BaseResponse:
    """Cancel a charge before the day of its first attempt."""

    def write(work: Work) -> dict[str, Any]:
        merchant = merchant_for(work, "cobr.write")
        body = body_of(CobRPatch, "cobr", INVALID)
        record = _own(work, merchant, txid)
        if body.status is not None:
            faults = _faults_of_end(work, record)
            if brasilia_day(work.now) >= record.charge.settles_on:
                faults.append(Violation(_TOO_LATE, _STATUS, _word(record)))
            refuse_any(INVALID, faults)
            charges.cancel(work, record, merchant)
        return charge_object(record, merchant)

    return private_json(in_unit_of_work(write))


@bp.get("/cobr/<txid>")
def get_cobr(txid: str) -> BaseResponse:
    """A charge, with its attempts and its Pix."""
    with reading() as work:
        merchant = merchant_for(work, "cobr.read")
        record = _own(work, merchant, txid)
    return private_json(charge_object(record, merchant))


@bp.get("/cobr")
def list_cobr() -> BaseResponse:
    """The charges that were created within a window, oldest first."""
    with reading() as work:
        merchant = merchant_for(work, "cobr.read")
        readers = {
            "idRec": _read_id_rec,
            "cpf": read_cpf,
            "cnpj": read_cnpj,
            "status": one_of(*_STATUSES),
            "convenio": read_text(60),
        }
        window = read_window(UNREADABLE, readers)
        query = window.filters
        filters = RecurringChargeFilters(
            window.span,
            id_rec=query.get("idRec"),
            document=query.get("cpf") or query.get("cnpj"),
            status=_STATUSES[query["status"]] if "status" in query else None,
            agreement_name=query.get("convenio"),
        )
        total, page = work.recurring_charges.page(merchant, filters, window.offset, window.size)
    parameters = rec_presenter.parameters(window, total)
    cobsr = [charge_object(record, merchant) for record in page]
    return private_json({"parametros": parameters, "cobsr": cobsr})


@bp.post("/cobr/<txid>/retentativa/<data>")
def retry_cobr(txid: str, data: str) -> BaseResponse:
    """Try once more to collect a charge, on this day."""
    try:
        day = day_of(data)
    except ValueError as error:
        reason = f"O parâmetro data não respeita o schema: {error}."
        raise refuse(INVALID, reason, "data", data) from None

    def write(work: Work) -> dict[str, Any]:
        merchant = merchant_for(work, "cobr.write")
        record = _own(work, merchant, txid)
        count_change(merchant)
        faults = _faults_of_end(work, record)
        refuse_any(INVALID, [*faults, *retry_faults(record, day, brasilia_day(work.now))])
        charges.retry(work, record, merchant, day)
        return charge_object(record, merchant)

    return created_json(in_unit_of_work(write))


def _create(txid: str | None) -> BaseResponse:
    tries = count()

    def write(work: Work) -> dict[str, Any]:
        merchant = merchant_for(work, "cobr.write")
        body = body_of(CobRBody, "cobr", INVALID)
        is_possible = body.has_possible_id
        target = (
            work.recurring_charges.target(merchant.id, body.idRec, txid) if is_possible else None
        )
        if target is None:
            reason = "O campo cobr.idRec não corresponde a uma recorrência deste recebedor."
            raise refuse(INVALID, reason, "cobr.idRec", body.idRec)
        if target.payment_id is not None:
            repeated = _repeated(work, merchant, body, target.payment_id)
            if repeated is not None:
                return charge_object(repeated, merchant)
        count_change(merchant)
        # A unique index refused the first try: it may have been the cycle's.
        faults = _faults(work, merchant, body, target, asks_for_cycle=next(tries) > 0)
        if target.payment_id is not None or target.is_in_batch:
            faults.append(Violation("O campo cobr.txid encontra-se em uso.", "cobr.txid", txid))
        refuse_any(INVALID, faults)
        record = charges.create(work, merchant, target.recurrence, body.charge(), txid)
        return charge_object(record, merchant)

    return created_json(in_unit_of_work(write))


def _repeated(
    work: Work, merchant: Account, body: CobRBody, payment_id: int
) -> RecurringChargeRecord | None:
    """The charge with the request's txid, if the request repeats the one that created it."""
    payment = work.payments.by_row_ids([payment_id])[payment_id]
    if payment.charge_kind != ChargeKind.COBR:
        return None
    record = work.recurring_charges.find(merchant, payment.pix_txid)
    return record if record is not None and body.repeats(record) else None


def _faults(
    work: Work, merchant: Account, body: CobRBody, target: ChargeTarget, *, asks_for_cycle: bool
) -> list[Violation]:
    recurrence = target.recurrence
    faults = body.faults(recurrence, brasilia_day(work.now))
    if recurrence.status != RecurrenceStatus.APPROVED:
        faults.append(Violation(_NOT_APPROVED, "cobr.idRec", body.idRec))
    if merchant.pix_key is None:
        faults.append(Violation(_NO_KEY, "cobr.recebedor"))
    if asks_for_cycle:
        day = body.calendario.dataDeVencimento
        cycle = cycle_of(recurrence.first_day, Periodicity(recurrence.periodicity), day)
        if work.recurring_charges.has_live(recurrence.id, cycle):
            faults.append(Violation(_CYCLE_IN_USE, _DUE, day.isoformat()))
    return faults


def _faults_of_end(work: Work, record: RecurringChargeRecord) -> list[Violation]:
    """The violation of changing a charge that has ended, also if that is not stored yet."""
    if record.charge.status in OPEN and not is_due(record.payment, work.now):
        return []
    reason = "A cobrança não está CRIADA nem ATIVA, e a presente requisição busca alterá-la."
    return [Violation(reason, _STATUS, _word(record))]


def _word(record: RecurringChargeRecord) -> str:
    return CHARGE_WORDS[RecurringChargeStatus(record.charge.status)]


def _own(work: Work, merchant: Account, txid: str) -> RecurringChargeRecord:
    """The merchant's charge. Raises PixProblem."""
    is_txid = TXID_OF_CHARGE.fullmatch(txid) is not None
    record = work.recurring_charges.find(merchant, txid) if is_txid else None
    if record is None:
        raise PixProblem(MISSING, "Não há cobrança recorrente com este txid.")
    return record


def _read_id_rec(text: str) -> str:
    """An id of a recurrence. Raises ValueError."""
    if len(text) != _ID_CHARACTERS or not (text.isascii() and text.isalnum()):
        raise ValueError(f"deve ter {_ID_CHARACTERS} letras e dígitos")
    return text


_ID_CHARACTERS = 29
_TOO_LATE = (
    "Não é possível cancelar uma cobrança em uma data igual ou maior que a data prevista da "
    "primeira tentativa de liquidação."
)
_NOT_APPROVED = "A recorrência não está APROVADA, e não pode ser cobrada."
_NO_KEY = "O recebedor não tem chave Pix: informe-a nas configurações da loja."
_CYCLE_IN_USE = (
    "Existe uma CobR com status diferente de REJEITADA e CANCELADA referente ao mesmo cobr.idRec "
    "com calendario.dataDeVencimento no mesmo ciclo."
)
