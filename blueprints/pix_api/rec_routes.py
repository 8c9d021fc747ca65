"""Recurrences: `/rec` (API Pix 2.9.0, tag Rec)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request
from werkzeug.wrappers import Response as BaseResponse

from blueprints.pix_api import rec_presenter
from blueprints.pix_api.access import count_change, merchant_for
from blueprints.pix_api.fields import TXID_OF_CHARGE, body_of
from blueprints.pix_api.lists import (
    one_of,
    read_boolean,
    read_cnpj,
    read_cpf,
    read_text,
    read_window,
)
from blueprints.pix_api.problems import PixProblem, Violation, refuse, refuse_any
from blueprints.pix_api.rec_bodies import (
    RecBody,
    RecPatch,
    faults_of_first_day,
    faults_of_terms,
    txid_of,
)
from blueprints.pix_api.rec_reading import own_recurrence
from core.errors import Conflict
from core.pix.business_days import brasilia_day
from core.pix.pix_key import KeyKind, kind_of
from db_models import Account, ChargeKind, Payment, RecurrenceStatus
from payments.payees import document_of
from payments.recurring import codes, lifecycle, recurrences
from payments.recurring.objects import STATUS_WORDS
from payments.recurring.recurrences import Revision
from repository.database import Work, in_unit_of_work, reading
from repository.recurrences import BoundLocation, RecurrenceFilters, RecurrenceRecord
from web.answers import created_json, private_json

bp = Blueprint("pix_api_rec", __name__)

INVALID, UNREADABLE = "RecOperacaoInvalida", "RecConsultaInvalida"
_STATUSES = {word: status for status, word in STATUS_WORDS.items()}
_LOC, _TXID, _STATUS = "rec.loc", "rec.ativacao.dadosJornada.txid", "rec.status"
_FIRST_DAY, _DEBTOR_NAME = "rec.calendario.dataInicial", "rec.vinculo.devedor.nome"


@bp.post("/rec")
def post_rec() -> BaseResponse:
    """Offer a recurrence."""

    def write(work: Work) -> dict[str, Any]:
        merchant = merchant_for(work, "rec.write")
        body = body_of(RecBody, "rec", INVALID)
        count_change(merchant)
        faults = faults_of_terms(body.terms, brasilia_day(work.now))
        if kind_of(document_of(merchant) or "") is not KeyKind.CNPJ:
            reason = "O recebedor não tem CNPJ: informe-o nas configurações da loja."
            faults.append(Violation(reason, "rec.recebedor"))
        location = _location(work, merchant, body.loc, faults)
        _check_charge(work, merchant, body.activation_txid, faults)
        refuse_any(INVALID, faults)
        try:
            record = recurrences.create(work, merchant, body.offer(), location)
        except Conflict as error:
            raise _as_violation(error) from None
        return rec_presenter.recurrence(record, merchant)

    return created_json(in_unit_of_work(write))


@bp.patch("/rec/<id_rec>")
def patch_rec(id_rec: str) -> BaseResponse:
    """Change what may change of a recurrence, or cancel it."""

    def write(work: Work) -> dict[str, Any]:
        merchant = merchant_for(work, "rec.write")
        body = body_of(RecPatch, "rec", INVALID)
        record = own_recurrence(work, merchant, id_rec)
        count_change(merchant)
        faults = _faults_of_status(record, body)
        location = _location(work, merchant, body.loc, faults, of=record)
        if txid_of(body.ativacao) != record.recurrence.activation_txid:
            _check_charge(work, merchant, txid_of(body.ativacao), faults)
        refuse_any(INVALID, faults)
        revision = Revision(
            debtor_name=body.debtor_name,
            first_day=body.calendario.dataInicial,
            activation_txid=txid_of(body.ativacao),
            location=location,
        )
        try:
            record = recurrences.revise(work, record, revision)
            if body.status is not None:
                record = recurrences.cancel(work, record)
        except Conflict as error:
            raise _as_violation(error) from None
        return rec_presenter.recurrence(record, merchant)

    return private_json(in_unit_of_work(write))


@bp.get("/rec/<id_rec>")
def get_rec(id_rec: str) -> BaseResponse:
    """A recurrence, with the code that offers it alone, or together with the charge `txid`."""
    with reading() as work:
        merchant = merchant_for(work, "rec.read")
        record = own_recurrence(work, merchant, id_rec)
        charge = _charge_of_query(work, merchant, record)
        moment = work.now
    body = rec_presenter.recurrence(record, merchant)
    return private_json({**body, **rec_presenter.code_members(record, merchant, charge, moment)})


@bp.get("/rec")
def list_rec() -> BaseResponse:
    """The recurrences that were created within a window, oldest first."""
    with reading() as work:
        merchant = merchant_for(work, "rec.read")
        readers = {
            "cpf": read_cpf,
            "cnpj": read_cnpj,
            "locationPresente": read_boolean,
            "status": one_of(*_STATUSES),
            "convenio": read_text(60),
        }
        window = read_window(UNREADABLE, readers)
        query = window.filters
        filters = RecurrenceFilters(
            window.span,
            document=query.get("cpf") or query.get("cnpj"),
            status=_STATUSES[query["status"]] if "status" in query else None,
            agreement_name=query.get("convenio"),
            has_location=query.get("locationPresente"),
        )
        total, page = work.recurrences.page(merchant.id, filters, window.offset, window.size)
    parameters = rec_presenter.parameters(window, total)
    recs = [rec_presenter.recurrence(record, merchant) for record in page]
    return private_json({"parametros": parameters, "recs": recs})


def _charge_of_query(work: Work, merchant: Account, record: RecurrenceRecord) -> Payment | None:
    """The charge that the query's `txid` names, None if it names none. Raises PixProblem."""
    txid = request.args.get("txid")
    if not txid:
        return None
    charge = work.charges.find(merchant, txid) if TXID_OF_CHARGE.fullmatch(txid) else None
    if charge is None:
        raise refuse(UNREADABLE, "O parâmetro txid não corresponde a uma cobrança.", "txid", txid)
    if not codes.fits(record, charge):
        reason = "O parâmetro txid não corresponde a uma cobrança compatível com a recorrência."
        raise refuse(UNREADABLE, reason, "txid", txid)
    return charge


def _location(
    work: Work,
    merchant: Account,
    number: int | None,
    faults: list[Violation],
    of: RecurrenceRecord | None = None,
) -> BoundLocation | None:
    """The location with this id, None without one; faults are added to the list."""
    if number is None:
        return None
    location = work.recurrence_locations.find(merchant.id, number)
    if location is None:
        reason = "O location referenciado por rec.loc inexiste."
        faults.append(Violation(reason, _LOC, number))
        return None
    own = of.recurrence.id if of is not None else None
    user = location.recurrence
    if user is not None and user.id != own and not lifecycle.is_final(user):
        faults.append(Violation(_IN_USE, _LOC, number))
    return location


def _check_charge(work: Work, merchant: Account, txid: str | None, faults: list[Violation]) -> None:
    """Add a fault unless the txid is None or that of an immediate charge of this merchant.

    Source: API Pix 2.9.0, RecAtivacao: the third journey is the payment of an immediate charge.
    """
    if txid is None:
        return
    charge = work.charges.find(merchant, txid)
    if charge is None or charge.charge_kind != ChargeKind.COB:
        reason = f"O campo {_TXID} não corresponde a uma cobrança imediata deste recebedor."
        faults.append(Violation(reason, _TXID, txid))


def _faults_of_status(record: RecurrenceRecord, body: RecPatch) -> list[Violation]:
    """The violations of a revision by the recurrence's status, its days and its debtor."""
    recurrence = record.recurrence
    if lifecycle.is_final(recurrence):
        word = STATUS_WORDS[RecurrenceStatus(recurrence.status)]
        return [Violation(_ENDED, _STATUS, word)]
    faults = []
    if body.debtor_name is not None and recurrence.debtor_document is None:
        faults.append(Violation(_NO_DEBTOR, _DEBTOR_NAME))
    day, is_created = body.calendario.dataInicial, recurrence.status == RecurrenceStatus.CREATED
    if day is not None and day != recurrence.first_day:
        if not is_created:
            faults.append(Violation(_ONLY_CREATED.format(_FIRST_DAY), _FIRST_DAY, str(day)))
        created_on = brasilia_day(recurrence.created_at)
        faults += faults_of_first_day(recurrences.terms_of(recurrence), day, created_on)
    number = None if record.location is None else rec_presenter.number(record.location)
    if body.loc is not None and body.loc != number and not is_created:
        faults.append(Violation(_ONLY_CREATED.format(_LOC), _LOC, body.loc))
    return faults


_NO_DEBTOR = "Os dados do devedor foram apagados, e o nome não pode voltar."
_ENDED = "A recorrência encontra-se expirada, cancelada ou rejeitada."
_IN_USE = "O location referenciado por rec.loc já está sendo utilizado por outra recorrência."
_ONLY_CREATED = (
    "O campo {} somente pode ser alterado quando a recorrência apresentar-se com o status CRIADA."
)


def _as_violation(error: Conflict) -> PixProblem:
    """A rule of the domain that refused, as an error of the operation."""
    reason, path = _REASONS.get(error.code, (error.detail, "rec"))
    return refuse(INVALID, reason, path)


_REASONS = {
    "location-unusable": (_IN_USE, _LOC),
    "recurrence-unchangeable": (
        "A recorrência foi aceita sem o pagamento de uma cobrança, e não pode apontar para uma.",
        _TXID,
    ),
}
"""By the code of the domain's error: the reason, and the member at fault."""
