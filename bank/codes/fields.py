"""Fields of the payloads that receivers' banks sign. Each reader raises PayloadMalformed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from bank.errors import PayloadMalformed
from bank.languages import translate as _
from bank.text import clean
from core.clock import parse_rfc3339

_AMOUNT = re.compile(r"\d{1,10}\.\d{2}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def malformed_error(field: str) -> PayloadMalformed:
    """The error about a field, by its dotted path."""
    return PayloadMalformed(
        _("O banco de quem recebe não informou direito o campo %(field)s. Nada foi pago.")
        % {"field": field}
    )


def object_in(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A member that must be an object."""
    value = payload.get(name)
    if not isinstance(value, Mapping):
        raise malformed_error(name)
    return value


def text_in(payload: Mapping[str, Any], name: str) -> str:
    """A member that must be a string."""
    value = payload.get(name)
    if not isinstance(value, str):
        raise malformed_error(name)
    return value


def text_matching(payload: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    """A member that must be a string of this form."""
    value = text_in(payload, name)
    if not form.fullmatch(value):
        raise malformed_error(name)
    return value


def integer_in(payload: Mapping[str, Any], name: str, maximum: int) -> int:
    """A member from 0 to the maximum."""
    value = payload.get(name)
    # Some banks write integers as text, as the examples of API Pix do.
    if isinstance(value, str) and re.fullmatch(r"\d{1,10}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
        raise malformed_error(name)
    return value


def sum_in(value: Mapping[str, Any], name: str, default: int | None, least: int = 0) -> int:
    """A sum of at least so many centavos; the default if it is missing and a default exists."""
    if value.get(name) is None and default is not None:
        return default
    text = value.get(name)
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text):
        raise malformed_error(f"valor.{name}")
    centavos = int(text.replace(".", ""))
    if centavos < least:
        raise malformed_error(f"valor.{name}")
    return centavos


def instant_in(calendar: Mapping[str, Any], parent: str, name: str) -> datetime:
    """A time of RFC 3339."""
    try:
        return parse_rfc3339(text_in(calendar, name))
    except (ValueError, PayloadMalformed):
        raise malformed_error(f"{parent}.{name}") from None


def day_in(calendar: Mapping[str, Any], name: str) -> date:
    """A day of the member `calendario`."""
    try:
        return date.fromisoformat(text_matching(calendar, name, _DAY))
    except (ValueError, PayloadMalformed):
        raise malformed_error(f"calendario.{name}") from None


def clean_or_none(value: object, characters_max: int) -> str | None:
    """Text for a page, cut to a length; None for anything else."""
    return (clean(value, characters_max) or None) if isinstance(value, str) else None
