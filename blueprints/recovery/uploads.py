"""Forms that carry a picture: each field once, one file, and nothing that nobody knows."""

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
"""A picture of the largest size that is read, and the form around it."""
MULTIPART = "multipart/form-data"


def picture_and_fields(
    closing: ExitStack, known: Collection[str]
) -> tuple[FileStorage, dict[str, str]]:
    """The file `file`, closed at the end of the block, and the text fields.

    Raises UnsupportedMediaType, InvalidRequest with everything at fault, and MalformedJson for
    text that no database takes.
    """
    if request.mimetype != MULTIPART:
        raise UnsupportedMediaType(f"Send the body as {MULTIPART} with the picture in `file`.")
    for every in request.files.values():
        closing.callback(every.close)
    faults = []
    fields: dict[str, str] = {}
    for name, values in request.form.lists():
        check_storable(name)
        if name not in known:
            fault = "must be a file" if name == "file" else "is not a known field"
            faults.append(FieldError(name[:64], fault))
        elif len(values) > 1:
            faults.append(FieldError(name, "must be given once"))
        else:
            check_storable(values[0])
            fields[name] = values[0]
    sent = request.files.getlist("file")
    faults += [
        FieldError(name[:64], "is not a known field") for name in request.files if name != "file"
    ]
    if len(sent) > 1:
        faults.append(FieldError("file", "must be given once"))
    if not sent and "file" not in request.form:
        faults.append(FieldError("file", "is required"))
    if faults:
        raise InvalidRequest(faults)
    return sent[0], fields
