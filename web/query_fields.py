"""Filters of a list, read from its address; what no form of ours sends is collected by field."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date

from core.errors import FieldError, InvalidRequest
from web.bodies import check_storable

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class QueryFields:
    """The fields of a query, and the errors in them. An empty field is an absent one."""

    def __init__(self, arguments: Mapping[str, str]) -> None:
        """`arguments` are the request's; nothing is checked yet."""
        self._arguments = arguments
        self._errors: list[FieldError] = []

    def require_valid(self) -> None:
        """Raise InvalidRequest with every error found so far."""
        if self._errors:
            raise InvalidRequest(self._errors)

    def one_of(self, name: str, values: Collection[str]) -> str | None:
        """One of the values, or None."""
        given = self._arguments.get(name) or None
        if given is None or given in values:
            return given
        self._refuse(name, f"must be one of {', '.join(values)}")
        return None

    def text(self, name: str, most: int) -> str | None:
        """A text of at most so many characters, or None. Raises MalformedJson for NUL and such."""
        given = self._arguments.get(name, "").strip()
        check_storable(given)
        if len(given) > most:
            self._refuse(name, f"must be at most {most} characters")
        return given or None

    def days(self) -> tuple[date | None, date | None]:
        """The days `from` and `to`, the earlier one first."""
        first, last = self._day("from"), self._day("to")
        if first and last and last < first:
            return last, first
        return first, last

    def _day(self, name: str) -> date | None:
        given = self._arguments.get(name) or None
        if given is None:
            return None
        try:
            day = date.fromisoformat(given) if _DAY.fullmatch(given) else None
        except ValueError:
            day = None
        # A day before and after is needed for its midnights, and databases end at the year 9999.
        if day is None or not 1970 <= day.year <= 9000:
            self._refuse(name, "must be a day, as 2026-11-20")
            return None
        return day

    def _refuse(self, name: str, why: str) -> None:
        self._errors.append(FieldError(name, why))
