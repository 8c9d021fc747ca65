"""Reads a code from an uploaded picture or from frames of the camera."""

from __future__ import annotations

from flask import Blueprint, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from bank.blueprints import forms
from bank.blueprints.sessions import current_payer, is_logged_in, login_required
from bank.branch import current_branch
from bank.codes import pictures
from bank.errors import BankError, ScanRefused, ScanTooLarge
from bank.languages import translate as _

bp = Blueprint("scan", __name__)

_FORM_BYTES, _CHUNK_BYTES = 64 * 1024, 256 * 1024
"""The room for the other parts of a multipart body, and the parser's chunk size."""


@bp.get("/scan")
@login_required
def show() -> ResponseReturnValue:
    """The page with the camera and a field for a picture."""
    with current_branch().database.reading() as work:
        current_payer(work)
    return render_template("bank/scan.html", refusal=None)


@bp.post("/scan")
def read() -> ResponseReturnValue:
    """Read a picture: a form's `picture` redirects to the review, a frame (image/jpeg) gets JSON.

    A frame carries the CSRF token in X-Form-Token. A frame without a code gets
    {"code": null, "detail": …} with 200, because the next frame may show one.
    """
    request.max_content_length = pictures.PICTURE_BYTES_MAX + _FORM_BYTES
    # Werkzeug applies this limit to each chunk of a file too, so it must exceed a chunk.
    request.max_form_memory_size = _CHUNK_BYTES
    return _read_frame() if request.mimetype == "image/jpeg" else _read_upload()


@login_required
def _read_upload() -> ResponseReturnValue:
    try:
        if (request.content_length or 0) > pictures.PICTURE_BYTES_MAX + _FORM_BYTES:
            raise RequestEntityTooLarge  # before the parser writes the upload to a file
        forms.check_csrf_token(request.form)
        with current_branch().database.reading() as work:
            payer = current_payer(work)
        upload = request.files.get("picture")
        picture = upload.read(pictures.PICTURE_BYTES_MAX + 1) if upload else b""
        if not picture:
            raise ScanRefused(_("Escolha uma imagem com o QR code."))
        code = pictures.code_in(picture, payer.handle)
    except RequestEntityTooLarge:
        refusal: BankError = ScanTooLarge(_("A imagem pode ter até 5 MB."))
        return render_template("bank/scan.html", refusal=refusal), refusal.status
    except BankError as error:
        return render_template("bank/scan.html", refusal=error), error.status
    return redirect(url_for("pages.review", code=code), 303)


def _read_frame() -> ResponseReturnValue:
    if not is_logged_in():
        return jsonify(code=None, detail=_("Entre de novo."), login_url=url_for("login.show")), 401
    with current_branch().database.reading() as work:
        payer = current_payer(work)
    try:
        forms.check_csrf_token({"token": request.headers.get("X-Form-Token", "")})
        code = pictures.code_in(request.get_data(), payer.handle)
    except RequestEntityTooLarge:
        return jsonify(code=None, detail=_("A imagem pode ter até 5 MB.")), 413
    except ScanTooLarge as error:
        return jsonify(code=None, detail=error.detail), error.status
    except ScanRefused as error:
        return jsonify(code=None, detail=error.detail)
    except BankError as error:
        return jsonify(code=None, detail=error.detail), error.status
    return jsonify(code=code, review_url=url_for("pages.review", code=code))
