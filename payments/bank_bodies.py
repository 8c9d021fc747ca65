"""Read the JSON body of a request that the bank has signed, whatever its media type."""

from __future__ import annotations

from typing import Any, TypeVar

from flask import request
from pydantic import ValidationError

from core.errors import MalformedJson
from payments.schemas import BankBody
from providers.fields import parse_bank_json
from web.problems import refuse_invalid

Report = TypeVar("Report", bound=BankBody)


def read_report(model: type[Report]) -> tuple[Report, dict[str, Any]]:
    """The body as this model, and all its members. Raises MalformedJson and InvalidRequest."""
    members = parse_bank_json(request.get_data())
    if not isinstance(members, dict):
        raise MalformedJson("The body must be a JSON object.")
    try:
        return model.model_validate(members), members
    except ValidationError as error:
        refuse_invalid(error)
        raise  # For the type checker: `refuse_invalid` always raises.
