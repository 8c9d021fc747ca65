"""The shop's static QR code: as an A5 poster, and alone as SVG and PNG."""

from __future__ import annotations

import io
import re

from flask import Response, request
from flask.typing import ResponseReturnValue
from markupsafe import escape
from PIL import Image

from accounts.access import page_guard
from blueprints.portal.page import bp, key_missing_page, merchant_and_queries, page
from blueprints.portal.pix_keys import format_key
from core.errors import FieldError, InvalidMoney, InvalidRequest
from core.merchant_errors import PixKeyMissing
from core.money import plain, typed_centavos
from core.pix import br_code
from core.pix.br_code import BrCodeError
from db_models import Account
from payments.qr_image import qr_png, qr_svg
from repository.database import reading
from web.form_fields import Form
from web.pages import brl
from web.pages import translate as _

PNG_SCALE = 4
"""32 px per module: 11 cm at 300 dpi."""

_SIZE = re.compile(rb'width="\d+" height="\d+"')


@bp.get("/portal/poster")
@page_guard("merchant")
def poster() -> ResponseReturnValue:
    """The page that prints the poster; `?value=` fixes the amount."""
    with reading() as work:
        merchant, _queries = merchant_and_queries(work)
    if merchant.pix_key is None:
        return key_missing_page(merchant, "poster")
    form = Form(request.args)
    centavos = form.money("value", required=False)
    code = None
    if not form.errors:
        try:
            code = _code(merchant, centavos)
        except InvalidRequest:
            form.refuse("value", _("Este valor não cabe num código Pix."))
            centavos = None
    return page(
        "poster.html",
        merchant,
        "poster",
        400 if form.errors else 200,
        form=form,
        centavos=centavos if code else None,
        code=code,
        key=format_key(merchant.pix_key or ""),
        value=plain(centavos) if centavos and code else None,
    )


@bp.get("/portal/poster/<any('qr.svg', 'qr.png', 'poster.svg'):name>")
@page_guard("merchant")
def poster_file(name: str) -> Response:
    """Download the code or the poster; `?value=` fixes the amount."""
    with reading() as work:
        merchant, _queries = merchant_and_queries(work)
    value = request.args.get("value") or None
    try:
        centavos = None if value is None else typed_centavos(value)
    except InvalidMoney as error:
        raise InvalidRequest([FieldError("value", error.detail)]) from None
    code = _code(merchant, centavos)
    if name == "qr.png":
        body, kind = _large_png(code), "image/png"
    elif name == "qr.svg":
        body, kind = qr_svg(code), "image/svg+xml"
    else:
        body, kind = _poster_svg(merchant, code, centavos), "image/svg+xml"
    filename = re.sub(r"[^A-Za-z0-9.\-]", "_", f"pix-{merchant.login}-{name}")
    return Response(
        body,
        content_type=kind,
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f"{'inline' if 'show' in request.args else 'attachment'}; "
            f'filename="{filename}"',
        },
    )


def _code(merchant: Account, centavos: int | None) -> str:
    """The shop's static code.

    Raises PixKeyMissing, and InvalidRequest for an amount that no code can hold.
    """
    if merchant.pix_key is None:
        raise PixKeyMissing
    try:
        return br_code.encode_static(
            merchant.pix_key, merchant.name, merchant.city, amount_centavos=centavos
        )
    except BrCodeError as error:
        raise InvalidRequest([FieldError("value", error.detail)]) from None


def _large_png(code: str) -> bytes:
    with Image.open(io.BytesIO(qr_png(code))) as small:
        side = small.width * PNG_SCALE
        large = small.resize((side, side), Image.Resampling.NEAREST)
    output = io.BytesIO()
    large.save(output, format="PNG", optimize=True)
    return output.getvalue()


def _poster_svg(merchant: Account, code: str, centavos: int | None) -> bytes:
    """The poster as an SVG of 148 × 210 mm, in the viewer's sans-serif font."""
    placement = b'x="24" y="52" width="100" height="100"'
    qr = _SIZE.sub(placement, qr_svg(code), count=1).decode()
    lines = [
        _line(24, 9, 700, merchant.name),
        _line(40, 6, 400, _("Pague com Pix")),
        _line(167, 13, 700, brl(centavos)) if centavos else _line(167, 6, 400, _("Digite o valor")),
        _line(184, 4.4, 400, _("Abra o app do seu banco, escolha Pix e leia o código.")),
        _line(193, 4, 400, _("Chave Pix: %(key)s") % {"key": format_key(merchant.pix_key or "")}),
    ]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="148mm" height="210mm" '
        'viewBox="0 0 148 210" font-family="system-ui, Helvetica, Arial, sans-serif">'
        f'<rect width="148" height="210" fill="#fff"/>{qr}{"".join(lines)}</svg>'
    ).encode()


def _line(y: float, size: float, weight: int, text: str) -> str:
    # Squeeze long names, so that they do not run over the poster's edge.
    fit = ' textLength="132" lengthAdjust="spacingAndGlyphs"' if len(text) * size > 245 else ""
    return (
        f'<text x="74" y="{y}" text-anchor="middle" font-size="{size}" font-weight="{weight}"'
        f"{fit}>{escape(text)}</text>"
    )
