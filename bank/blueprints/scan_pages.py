"""Reading a code from a picture: uploaded by a form, or frame by frame from the camera."""

from __future__ import annotations

from flask import Blueprint, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from bank.blueprints import forms
from bank.blueprints.sessions import current_payer, is_logged_in, login_required
from bank.branch import current_branch
from bank.codes import pictures
from bank.errors import BankError, ScanRefused, ScanTooLarge

bp = Blueprint("scan", __name__)

_FORM_BYTES, _CHUNK_BYTES = 64 * 1024, 256 * 1024
"""Room for the rest of a multipart body around the picture."""


@bp.get("/scan")
@login_required
def show() -> ResponseReturnValue:
    """The camera where there is one, and a field for a picture."""
    with current_branch().database.reading() as work:
        current_payer(work)
    return render_template("bank/scan.html", refusal=None)


@bp.post("/scan")
def read() -> ResponseReturnValue:
    """Read a picture: a form's `picture` leads to the review; a frame (image/jpeg) gets JSON.

    A frame carries the session's token in X-Form-Token; without a code in it the answer is
    {"code": null, "detail": …}, since the next frame may have one.
    """
    request.max_content_length = pictures.PICTURE_BYTES_MAX + _FORM_BYTES
    # The parser holds whole chunks of the file to this limit as well, not fields alone.
    request.max_form_memory_size = _CHUNK_BYTES
    return _read_frame() if request.mimetype == "image/jpeg" else _read_upload()


@login_required
def _read_upload() -> ResponseReturnValue:
    try:
        if (request.content_length or 0) > pictures.PICTURE_BYTES_MAX + _FORM_BYTES:
            raise RequestEntityTooLarge  # before any of it is written to a file
        forms.check_csrf_token(request.form)
        with current_branch().database.reading() as work:
            current_payer(work)
        chosen = request.files.get("picture")
        picture = chosen.read(pictures.PICTURE_BYTES_MAX + 1) if chosen else b""
        if not picture:
            raise ScanRefused("Escolha uma imagem com o QR code.")
        code = pictures.code_in(picture)
    except RequestEntityTooLarge:
        refusal: BankError = ScanTooLarge("A imagem pode ter até 5 MB.")
        return render_template("bank/scan.html", refusal=refusal), refusal.status
    except BankError as refused:
        return render_template("bank/scan.html", refusal=refused), refused.status
    return redirect(url_for("pages.review", code=code), 303)


def _read_frame() -> ResponseReturnValue:
    if not is_logged_in():
        return jsonify(code=None, detail="Entre de novo.", login_url=url_for("login.show")), 401
    try:
        forms.check_csrf_token({"token": request.headers.get("X-Form-Token", "")})
        code = pictures.code_in(request.get_data())
    except RequestEntityTooLarge:
        return jsonify(code=None, detail="A imagem pode ter até 5 MB."), 413
    except ScanTooLarge as refused:
        return jsonify(code=None, detail=refused.detail), refused.status
    except ScanRefused as refused:
        return jsonify(code=None, detail=refused.detail)
    except BankError as refused:
        return jsonify(code=None, detail=refused.detail), refused.status
    return jsonify(code=code, review_url=url_for("pages.review", code=code))
