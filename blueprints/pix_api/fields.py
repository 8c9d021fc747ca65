"""Types for the bodies of API Pix, and their violations as the standard writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from flask import request
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError
from werkzeug.exceptions import UnsupportedMediaType

from blueprints.pix_api.problems import PixProblem, Violation
from core.clock import parse_rfc3339
from core.errors import MalformedJson
from core.pix.pix_key import KeyKind, kind_of
from web.bodies import StrictBody, parse_json

TXID_OF_CHARGE = re.compile(r"[a-zA-Z0-9]{26,35}", re.ASCII)
TXID = re.compile(r"[a-zA-Z0-9]{1,35}", re.ASCII)
INT32_MAX = 2_147_483_647
INT64_MAX = 2**63 - 1

_VALOR = re.compile(r"\d{1,10}\.\d{2}", re.ASCII)
_BATCH_NUMBER = re.compile(r"0|[1-9]\d{0,18}", re.ASCII)
_NUMERAL = re.compile(r"-?\d{1,18}", re.ASCII)
# API clients write the offset of a time into a query without percent-encoding: `+` arrives as ` `.
_SPACE_BEFORE_OFFSET = re.compile(r" (?=\d\d:\d\d\Z)", re.ASCII)
_VIOLATIONS_MAX = 100


class PixBody(StrictBody):
    """A request body of API Pix: unknown members are ignored, because the standard may grow."""

    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)


Body = TypeVar("Body", bound=PixBody)


def _centavos(value: object) -> int:
    if not isinstance(value, str) or not _VALOR.fullmatch(value):
        raise ValueError("deve ser um texto como 123.45")
    return int(value.replace(".", ""))


def _integer(value: object) -> object:
    """A numeral string counts as a number: the standard's own examples write some that way."""
    return int(value) if isinstance(value, str) and _NUMERAL.fullmatch(value) else value


def _instant(value: object) -> datetime:
    try:
        return parse_rfc3339(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("deve ser uma data e hora como 2026-01-31T12:00:00Z") from None


def _cpf(value: str) -> str:
    if kind_of(value) is not KeyKind.CPF:
        raise ValueError("deve ter 11 dígitos e dígitos verificadores certos")
    return value


def _cnpj(value: str) -> str:
    if kind_of(value) is not KeyKind.CNPJ:
        raise ValueError("deve ter 14 caracteres e dígitos verificadores certos")
    return value


Valor = Annotated[int, BeforeValidator(_centavos)]
"""Reais on the wire (`\\d{1,10}\\.\\d{2}`), centavos inside; zero is allowed."""
Int32 = Annotated[int, BeforeValidator(_integer), Field(ge=-INT32_MAX, le=INT32_MAX)]
LocationId = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=INT64_MAX)]
IdRec = Annotated[str, Field(pattern="^[a-zA-Z0-9]{29}$")]
"""The id of a recurrence as the standard's schema has it (RecId)."""
Instant = Annotated[datetime, BeforeValidator(_instant)]
"""An RFC 3339 time with an offset."""
Cpf = Annotated[str, AfterValidator(_cpf)]
Cnpj = Annotated[str, AfterValidator(_cnpj)]


def body_of(model: type[Body], head: str, kind: str) -> Body:
    """The request's body. Raises PixProblem of this kind with every violation.

    `head` is the resource at the beginning of each violation's path. The media type may be missing;
    some SDKs send none.
    """
    return checked(model, json_object(), head, kind)


def json_object() -> dict[str, Any]:
    """The request's JSON object. Raises MalformedJson and UnsupportedMediaType."""
    if request.mimetype and not request.is_json:
        raise UnsupportedMediaType("O corpo deve ser application/json.")
    data = request.get_data()
    if not data.strip():
        raise MalformedJson("O corpo está vazio; um objeto JSON é esperado.")
    value = parse_json(data)
    if not isinstance(value, dict):
        raise MalformedJson("O corpo deve ser um objeto JSON.")
    return value


def checked(model: type[Body], members: Mapping[str, Any], head: str, kind: str) -> Body:
    """The members as a body of this model. Raises PixProblem of this kind with every violation."""
    try:
        return model.model_validate(dict(members))
    except ValidationError as error:
        violations = violations_of(error, head)
        raise PixProblem(kind, violations[0].reason, violations) from None


def violations_of(error: ValidationError, head: str) -> list[Violation]:
    """The violations of the standard for pydantic's errors, at most a hundred."""
    faults = error.errors(include_url=False, include_context=False)[:_VIOLATIONS_MAX]
    return [_violation(problem, head) for problem in faults]


def _violation(problem: Mapping[str, Any], head: str) -> Violation:
    path = ".".join([head, *(str(part) for part in problem["loc"])])
    if problem["type"] == "missing":
        return Violation(f"O campo {path} é obrigatório.", path)
    reason = f"O campo {path} não respeita o schema"
    # Only our own reasons are Portuguese; pydantic's are not.
    own = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        reason = f"{reason}: {own}"
    return Violation(f"{reason}.", path, problem.get("input"))


def batch_number(text: str) -> int | None:
    """The id of a batch in a path or a query; None if no batch can have it."""
    if not _BATCH_NUMBER.fullmatch(text) or int(text) > INT64_MAX:
        return None
    return int(text)


def parse_instant(text: str) -> datetime:
    """An RFC 3339 time of a query. Raises ValueError."""
    return parse_rfc3339(_SPACE_BEFORE_OFFSET.sub("+", text))
