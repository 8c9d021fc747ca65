"""Parse forms with one picture; unknown and repeated fields are errors."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack

from flask import request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import UnsupportedMediaType

from core.errors import FieldError, InvalidRequest
from core.pictures import PICTURE_BYTES_MAX
from web.bodies import check_storable

FORM_BYTES_MAX = PICTURE_BYTES_MAX + 65_536
"""The largest picture, and the other fields of its form."""
MULTIPART = "multipart/form-data"


def picture_and_fields(
    closing: ExitStack, field_names: Collection[str]
) -> tuple[FileStorage, dict[str, str]]:
    """The form's `file`, which `closing` closes, and its text fields.

    Raises UnsupportedMediaType, InvalidRequest with every fault, and MalformedJson for text that
    the database cannot store.
    """
    if request.mimetype != MULTIPART:
        raise UnsupportedMediaType(f"Send the body as {MULTIPART} with the picture in `file`.")
    for upload in request.files.values():
        closing.callback(upload.close)
    faults = []
    fields: dict[str, str] = {}
    for name, values in request.form.lists():
        check_storable(name)
        if name not in field_names:
            fault = "must be a file" if name == "file" else "is not a known field"
            faults.append(FieldError(name[:64], fault))
        elif len(values) > 1:
            faults.append(FieldError(name, "must be given once"))
        else:
            check_storable(values[0])
            fields[name] = values[0]
    uploads = request.files.getlist("file")
    faults += [
        FieldError(name[:64], "is not a known field") for name in request.files if name != "file"
    ]
    if len(uploads) > 1:
        faults.append(FieldError("file", "must be given once"))
    if not uploads and "file" not in request.form:
        faults.append(FieldError("file", "is required"))
    if faults:
        raise InvalidRequest(faults)
    return uploads[0], fields
