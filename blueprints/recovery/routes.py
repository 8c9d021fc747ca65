"""The JSON API: find the payment of a QR, and return its state."""

from __future__ import annotations

from contextlib import ExitStack
from typing import BinaryIO, cast

from flask import Response
from flask_openapi import Tag

from blueprints.recovery import limits, lookup
from blueprints.recovery.lookup import LookupResult
from blueprints.recovery.presenter import recovery_object
from blueprints.recovery.schemas import PictureForm, QrData, RecoveryAnswer
from blueprints.recovery.uploads import FORM_BYTES_MAX, MULTIPART, picture_and_fields
from web.answers import private_json
from web.api_docs import DocumentedBlueprint, declare, problems, request_body
from web.bodies import body_limit

TAG = Tag(name="Recovery")
bp = DocumentedBlueprint("recovery", __name__, url_prefix="/api/payment", abp_tags=[TAG])
declare(bp, QrData, PictureForm, RecoveryAnswer)


@bp.post(
    "/verify-qr",
    summary="Find the payment of a QR",
    responses={200: RecoveryAnswer, **problems(400, 404, 413, 415, 429, 503)},
)
def verify_qr(body: QrData) -> Response:
    """Find the payment of a QR's text and return its state, without asking the bank."""
    limits.admit()
    return _answer(lookup.look(lookup.readings_of_text(body.qr_data), ask=False))


@bp.post(
    "/recover-from-qr",
    summary="Find the payment and ask the bank",
    responses={200: RecoveryAnswer, **problems(400, 404, 413, 415, 429, 503)},
)
def recover_from_qr(body: QrData) -> Response:
    """Find the payment of a QR's text, and settle it if the bank holds its money."""
    limits.admit()
    return _answer(lookup.look(lookup.readings_of_text(body.qr_data), ask=True))


@bp.post(
    "/upload-screenshot-with-qr",
    summary="Find the payment of a picture and ask the bank",
    responses={200: RecoveryAnswer, **problems(400, 404, 413, 415, 422, 429, 503)},
    openapi_extensions=request_body(PictureForm, MULTIPART),
)
@body_limit(FORM_BYTES_MAX)
def upload_screenshot_with_qr() -> Response:
    """Read the QR in a picture (PNG, JPEG, GIF, WebP, up to 5 MB), then do as `recover-from-qr`.

    The picture is not stored.
    """
    limits.admit(with_picture=True)
    with ExitStack() as closing:
        file, fields = picture_and_fields(closing, ("qr_data",))
        readings = lookup.readings_of_picture_and_text(
            cast("BinaryIO", file.stream), fields.get("qr_data", "")
        )
    return _answer(lookup.look(readings, ask=True))


def _answer(result: LookupResult) -> Response:
    return private_json(recovery_object(result))
