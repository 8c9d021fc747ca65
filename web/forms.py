"""Form bodies, read as strictly as JSON."""

from __future__ import annotations

from typing import TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import UnsupportedMediaType

from core.errors import FieldError, InvalidRequest
from web.bodies import check_storable
from web.problems import refuse_invalid

Model = TypeVar("Model", bound=BaseModel)

FORM = "application/x-www-form-urlencoded"
FORMS = (FORM, "multipart/form-data")


def is_form() -> bool:
    """Whether the request has a form as its body."""
    return request.mimetype in FORMS


def read_form() -> dict[str, str]:
    """The fields of the form, each given once.

    Raises UnsupportedMediaType, InvalidRequest for a repeated field (RFC 6749, 3.2), and
    MalformedJson for text that no database stores.
    """
    if not is_form():
        raise UnsupportedMediaType(f"Send the body as {FORM}.")
    fields = {}
    for name, values in request.form.lists():
        check_storable(name)
        if len(values) > 1:
            raise InvalidRequest([FieldError(name[:64], "must be given once")])
        check_storable(values[0])
        fields[name] = values[0]
    return fields


def parse(model: type[Model], fields: object) -> Model:
    """Validate the fields. Raises InvalidRequest with every field at fault."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        refuse_invalid(error)
        raise  # never reached; the type checker cannot know that
