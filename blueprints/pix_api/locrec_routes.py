"""Locations of recurrences: `/locrec` (API Pix 2.9.0, tag PayloadLocationRec)."""

from __future__ import annotations

import re

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from blueprints.pix_api import rec_presenter
from blueprints.pix_api.access import count_change, merchant_for
from blueprints.pix_api.lists import read_boolean, read_text, read_window
from blueprints.pix_api.problems import PREFIX, PixProblem
from config import current_settings
from db_models import Account
from payments.recurring import locations, recurrences
from repository.database import Work, in_unit_of_work, reading
from repository.recurrences import BoundLocation, RecurrenceLocationFilters
from web.answers import created_json, private_json

bp = Blueprint("pix_api_locrec", __name__)

UNREADABLE, MISSING = "PayloadLocationRecConsultaInvalida", "PayloadLocationRecNaoEncontrado"
_NUMBER = re.compile(r"\d{1,19}", re.ASCII)


@bp.post("/locrec")
def post_locrec() -> BaseResponse:
    """Reserve a location, so that its code can be printed before its recurrence exists."""

    def write(work: Work) -> BoundLocation:
        merchant = merchant_for(work, "payloadlocationrec.write")
        count_change(merchant)
        return locations.reserve(work, merchant)

    bound = in_unit_of_work(write)
    url = f"{current_settings().public_url}{PREFIX}/v2/locrec/{bound.number}"
    return created_json(rec_presenter.location(bound), url)


@bp.get("/locrec")
def list_locrec() -> BaseResponse:
    """The locations that were created within a window, oldest first."""
    with reading() as work:
        merchant = merchant_for(work, "payloadlocationrec.read")
        window = read_window(UNREADABLE, {"idRecPresente": read_boolean, "convenio": read_text(60)})
        filters = RecurrenceLocationFilters(
            window.span, window.filters.get("idRecPresente"), window.filters.get("convenio")
        )
        total, page = work.recurrence_locations.page(
            merchant.id, filters, window.offset, window.size
        )
    loc = [rec_presenter.location(bound) for bound in page]
    return private_json({"parametros": rec_presenter.parameters(window, total), "loc": loc})


@bp.get("/locrec/<locrec_id>")
def get_locrec(locrec_id: str) -> BaseResponse:
    """A location."""
    with reading() as work:
        merchant = merchant_for(work, "payloadlocationrec.read")
        return private_json(rec_presenter.location(_own(work, merchant, locrec_id)))


@bp.delete("/locrec/<locrec_id>/idRec")
def delete_id_rec_of_locrec(locrec_id: str) -> BaseResponse:
    """Let the location show no recurrence: its code stays as it is, and waits for the next one."""

    def write(work: Work) -> BoundLocation:
        merchant = merchant_for(work, "payloadlocationrec.write")
        count_change(merchant)
        return recurrences.unbind(work, _own(work, merchant, locrec_id))

    return private_json(rec_presenter.location(in_unit_of_work(write)))


def _own(work: Work, merchant: Account, locrec_id: str) -> BoundLocation:
    """The merchant's location. Raises PixProblem."""
    is_number = _NUMBER.fullmatch(locrec_id) is not None
    bound = work.recurrence_locations.find(merchant.id, int(locrec_id)) if is_number else None
    if bound is None:
        raise PixProblem(MISSING, "Não há location de recorrência com este id.")
    return bound
