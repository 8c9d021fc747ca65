"""The static QR code of a till: as an A5 poster, and alone as SVG and PNG; the list of tills."""

from __future__ import annotations

import io
import re

from flask import Response, redirect, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import escape
from PIL import Image

from accounts.access import page_guard, signed_in_merchant
from blueprints.portal.confirmation import Question, confirmation_page, is_confirmed
from blueprints.portal.page import bp, key_missing_page, merchant_and_queries, page
from blueprints.portal.pix_keys import format_key
from core.errors import FieldError, InvalidMoney, InvalidRequest
from core.money import plain, typed_centavos
from core.pix.br_code import BrCodeError
from core.receipt_errors import TooManyTills
from db_models import Account, Till
from payments import tills
from payments.qr_image import qr_png, qr_svg
from repository.database import Work, in_unit_of_work, reading
from web.form_fields import Form
from web.pages import brl, language_args
from web.pages import translate as _

PNG_SCALE = 4
"""32 px per module: 11 cm at 300 dpi."""

_SIZE = re.compile(rb'width="\d+" height="\d+"')


@bp.get("/portal/poster")
@page_guard("merchant")
def poster() -> ResponseReturnValue:
    """The page that prints the poster; `?value=` fixes the amount."""
    return _render_poster(Form(request.args), request.args.get("till") or None)


def _render_poster(
    form: Form, till_txid: str | None, status: int = 200, till_form: Form | None = None
) -> ResponseReturnValue:
    with reading() as work:
        merchant, _queries = merchant_and_queries(work)
    if merchant.pix_key is None:
        return key_missing_page(merchant, "poster")
    till = tills.shown_till(merchant, till_txid)
    with reading() as work:
        all_tills = work.tills.of_merchant(merchant.id)
    centavos = form.money("value", required=False)
    code = None
    if not form.errors:
        try:
            code = _code(merchant, till, centavos)
        except InvalidRequest:
            form.refuse("value", _("Este valor não cabe num código Pix."))
            centavos = None
    return page(
        "poster.html",
        merchant,
        "poster",
        400 if form.errors else status,
        form=form,
        till=till,
        open_tills=[one for one in all_tills if one.closed_at is None],
        till_form=till_form or Form({}),
        name_max=tills.NAME_CHARACTERS_MAX,
        centavos=centavos if code else None,
        code=code,
        key=format_key(merchant.pix_key or ""),
        value=plain(centavos) if centavos and code else None,
    )


@bp.get("/portal/poster/<any('qr.svg', 'qr.png', 'poster.svg'):name>")
@page_guard("merchant")
def poster_file(name: str) -> Response:
    """Download the code or the poster; `?value=` fixes the amount, `?till=` names the till."""
    with reading() as work:
        merchant, _queries = merchant_and_queries(work)
    till = tills.shown_till(merchant, request.args.get("till") or None)
    value = request.args.get("value") or None
    try:
        centavos = None if value is None else typed_centavos(value)
    except InvalidMoney as error:
        raise InvalidRequest([FieldError("value", error.detail)]) from None
    code = _code(merchant, till, centavos)
    if name == "qr.png":
        body, kind = _large_png(code), "image/png"
    elif name == "qr.svg":
        body, kind = qr_svg(code), "image/svg+xml"
    else:
        body, kind = _poster_svg(merchant, till, code, centavos), "image/svg+xml"
    owner = "teste" if merchant.is_test_half else merchant.login
    filename = re.sub(r"[^A-Za-z0-9.\-]", "_", f"pix-{owner}-{name}")
    return Response(
        body,
        content_type=kind,
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f"{'inline' if 'show' in request.args else 'attachment'}; "
            f'filename="{filename}"',
        },
    )


@bp.post("/portal/tills")
@page_guard("merchant")
def open_till() -> ResponseReturnValue:
    """Open a till with this `name`."""
    form = Form(request.form)
    name = form.text("name", tills.NAME_CHARACTERS_MAX, required=True)
    if form.errors or name is None:
        return _render_poster(Form({}), None, 400, form)

    def insert(work: Work) -> str:
        return tills.open_till(work, signed_in_merchant(work, "account:write"), name).txid

    try:
        txid = in_unit_of_work(insert)
    except TooManyTills:
        form.refuse("name", _("Uma loja tem no máximo %(n)s caixas.") % {"n": tills.TILLS_MAX})
        return _render_poster(Form({}), None, 409, form)
    return redirect(url_for("portal.poster", till=txid, **language_args()), 303)


@bp.post("/portal/tills/<string:till_txid>/close")
@page_guard("merchant")
def close_till(till_txid: str) -> ResponseReturnValue:
    """Close a till; its printed codes can still be paid. Asks first."""
    if not is_confirmed():
        return _ask_to_close(till_txid)

    def close(work: Work) -> None:
        tills.close_till(work, signed_in_merchant(work, "account:write"), till_txid)

    in_unit_of_work(close)
    return redirect(url_for("portal.poster", **language_args()), 303)


def _ask_to_close(till_txid: str) -> ResponseReturnValue:
    with reading() as work:
        merchant = signed_in_merchant(work, "account:write")
        till = tills.closable_till(work, merchant, till_txid)
    question = Question(
        _("Fechar o caixa %(name)s?") % {"name": till.name},
        _("Sim, fechar o caixa"),
        warning=_("O caixa some daqui e não abre de novo. Um cartaz impresso ainda recebe."),
    )
    return confirmation_page(
        merchant, "poster", question, url_for("portal.poster", **language_args())
    )


def _code(merchant: Account, till: Till, centavos: int | None) -> str:
    """The till's static code.

    Raises PixKeyMissing, and InvalidRequest for an amount that no code can hold.
    """
    try:
        return tills.static_code(merchant, till, centavos)
    except BrCodeError as error:
        raise InvalidRequest([FieldError("value", error.detail)]) from None


def _large_png(code: str) -> bytes:
    with Image.open(io.BytesIO(qr_png(code))) as small:
        side = small.width * PNG_SCALE
        large = small.resize((side, side), Image.Resampling.NEAREST)
    output = io.BytesIO()
    large.save(output, format="PNG", optimize=True)
    return output.getvalue()


def _poster_svg(merchant: Account, till: Till, code: str, centavos: int | None) -> bytes:
    """The poster as an SVG of 148 × 210 mm, in the viewer's sans-serif font."""
    placement = b'x="24" y="52" width="100" height="100"'
    qr = _SIZE.sub(placement, qr_svg(code), count=1).decode()
    lines = [
        _line(24, 9, 700, merchant.name),
        _line(40, 6, 400, _("Pague com Pix")),
        _line(167, 13, 700, brl(centavos)) if centavos else _line(167, 6, 400, _("Digite o valor")),
        _line(184, 4.4, 400, _("Abra o app do seu banco, escolha Pix e leia o código.")),
        _line(193, 4, 400, _("Chave Pix: %(key)s") % {"key": format_key(merchant.pix_key or "")}),
        _line(201, 3.4, 400, till.name),
    ]
    if merchant.is_test_half:
        frame = '<rect x="10" y="3" width="128" height="10" fill="none" stroke="#000"/>'
        lines.append(frame + _line(10, 5, 700, _("Modo de teste: nenhum dinheiro real")))
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
