"""A shop's logo and its colour, as a style sheet, for its payment pages."""

from __future__ import annotations

from flask import Blueprint, Response

from core import ids
from core.errors import NotFound
from repository.database import reading
from repository.portal import PortalQueries
from web.brand import parse_color, style_sheet

bp = Blueprint("looks", __name__)

FOR_EVER = "public, max-age=31536000, immutable"


@bp.get("/logos/<string:name>.png")
def logo(name: str) -> Response:
    """A merchant's logo, public like its payment pages; a new picture gets a new address."""
    if not ids.is_txid(name):
        raise NotFound("This picture does not exist.")
    with reading() as work:
        png = PortalQueries(work.session).logo(name)
    if png is None:
        raise NotFound("This picture does not exist.")
    return Response(png, content_type="image/png", headers={"Cache-Control": FOR_EVER})


@bp.get("/brand/<string:color>.css")
def brand(color: str) -> Response:
    """The action colours that follow from `rrggbb`, readable on light and dark pages."""
    brand_color = parse_color(f"#{color}")
    if brand_color is None:
        raise NotFound("This colour does not exist.")
    return Response(
        style_sheet(brand_color),
        content_type="text/css; charset=utf-8",
        headers={"Cache-Control": FOR_EVER},
    )
