"""Locations: `/loc` (API Pix 2.9.0, tag PayloadLocation)."""

from __future__ import annotations

import base64
import re
from typing import Any, Literal

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from blueprints.pix_api import presenter
from blueprints.pix_api.access import count_change, merchant_for
from blueprints.pix_api.charge_bodies import LocReference
from blueprints.pix_api.fields import PixBody, body_of
from blueprints.pix_api.lists import one_of, read_boolean, read_window
from blueprints.pix_api.problems import PREFIX, PixProblem, refuse
from config import current_settings
from db_models import Account, ChargeKind
from payments import charges, service
from payments.location import location_text
from payments.qr_image import qr_png
from repository.database import Work, in_unit_of_work, reading
from repository.locations import ListedLocation, LocationFilters
from web import request_counts
from web.answers import created_json, private_json

bp = Blueprint("pix_api_loc", __name__)

INVALID, UNREADABLE = "PayloadLocationOperacaoInvalida", "PayloadLocationConsultaInvalida"
MISSING = "PayloadLocationNaoEncontrado"
_NUMBER = re.compile(r"\d{1,19}", re.ASCII)


class LocBody(PixBody):
    """`POST /loc`."""

    tipoCob: Literal["cob", "cobv"]


@bp.post("/loc")
def post_loc() -> BaseResponse:
    """Reserve a location, so that its code can be printed before its charge exists."""

    def write(work: Work) -> ListedLocation:
        merchant = merchant_for(work, "payloadlocation.write")
        body = body_of(LocBody, "loc", INVALID)
        count_change(merchant)
        return charges.reserve_location(work, merchant, body.tipoCob)

    location = in_unit_of_work(write)
    url = f"{current_settings().public_url}{PREFIX}/v2/loc/{location.number}"
    return created_json(presented(location), url)


@bp.get("/loc")
def list_loc() -> BaseResponse:
    """The locations that were created within a window, oldest first."""
    with reading() as work:
        merchant = merchant_for(work, "payloadlocation.read")
        readers = {"txIdPresente": read_boolean, "tipoCob": one_of(ChargeKind.COB, ChargeKind.COBV)}
        window = read_window(UNREADABLE, readers)
        start, end = window.span
        filters = LocationFilters(
            start, end, window.filters.get("tipoCob"), window.filters.get("txIdPresente")
        )
        total, page = work.locations.page(merchant.id, filters, window.offset, window.size)
    body = {"parametros": window.parameters(total), "loc": [presented(one) for one in page]}
    return private_json(body)


@bp.get("/loc/<number>")
def get_loc(number: str) -> BaseResponse:
    """A location."""
    with reading() as work:
        merchant = merchant_for(work, "payloadlocation.read")
        return private_json(presented(_own(work, merchant, number)))


@bp.get("/loc/<number>/qrcode")
def get_qrcode_of_loc(number: str) -> BaseResponse:
    """The location's BR Code, its picture, and the page: an extension, not of the standard."""
    settings = current_settings()
    with reading() as work:
        merchant = merchant_for(work, "payloadlocation.read")
        request_counts.take(request_counts.QR_IMAGES, settings.qr_images_per_minute)
        location = _own(work, merchant, number)
        row = location.payment_id
        payment = None if row is None else work.payments.by_row_ids([row])[row]
    text = location_text(settings.location_base, location.charge_kind, location.token)
    code = payment.br_code if payment is not None else service.code_of(merchant, text)
    picture = base64.b64encode(qr_png(code)).decode()
    body = {"qrcode": code, "imagemQrcode": f"data:image/png;base64,{picture}"}
    if payment is not None:
        body["linkVisualizacao"] = f"{settings.public_url}/payments/pix/{payment.txid}"
    return private_json(body)


@bp.delete("/loc/<number>/txid")
def delete_txid_of_loc(number: str) -> BaseResponse:
    """Let the location show no charge: its code stays as it is, and waits for the next charge."""

    def write(work: Work) -> ListedLocation:
        merchant = merchant_for(work, "payloadlocation.write")
        count_change(merchant)
        return charges.unbind(work, _own(work, merchant, number))

    return private_json(presented(in_unit_of_work(write)))


def presented(location: ListedLocation) -> dict[str, Any]:
    """The JSON object of the location."""
    return presenter.location(location, current_settings().location_base)


def _own(work: Work, merchant: Account, number: str) -> ListedLocation:
    """The merchant's location. Raises PixProblem."""
    is_number = _NUMBER.fullmatch(number) is not None
    location = work.locations.find(merchant.id, int(number)) if is_number else None
    if location is None:
        raise PixProblem(MISSING, "Não há location com este id.")
    return location


def location_for(
    work: Work, merchant: Account, reference: LocReference | None, charge_kind: str, kind: str
) -> ListedLocation | None:
    """The location that a charge of this kind names, None if it names none.

    Raises PixProblem of the type `kind` if the merchant has no such location, or if it is for
    charges of the other kind.
    """
    if reference is None:
        return None
    path, number = f"{charge_kind}.loc.id", reference.id
    location = work.locations.find(merchant.id, number)
    if location is None:
        raise refuse(kind, "O location referenciado por loc.id inexiste.", path, number)
    if location.charge_kind != charge_kind:
        reason = (
            f'O location referenciado por loc.id apresenta tipo "{location.charge_kind}" '
            f'(deveria ser "{charge_kind}").'
        )
        raise refuse(kind, reason, path, number)
    return location
