"""Parse the filters in a list's URL; collect one error per field."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date

from core.errors import FieldError, InvalidRequest
from core.typed import clean
from web.bodies import check_storable

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class QueryFields:
    """The fields of a query string, and their errors. An empty field counts as absent."""

    def __init__(self, arguments: Mapping[str, str]) -> None:
        """`arguments` are the request's, not validated yet."""
        self._arguments = arguments
        self._errors: list[FieldError] = []

    def require_valid(self) -> None:
        """Raise InvalidRequest if a field was refused."""
        if self._errors:
            raise InvalidRequest(self._errors)

    def one_of(self, name: str, values: Collection[str]) -> str | None:
        """One of `values`; None if the field is absent or refused."""
        value = self._arguments.get(name) or None
        if value is None or value in values:
            return value
        self._refuse(name, f"must be one of {', '.join(values)}")
        return None

    def text(self, name: str, most: int) -> str | None:
        """A text of up to `most` characters, or None. Raises MalformedJson as `check_storable`."""
        value = clean(self._arguments.get(name, ""))
        check_storable(value)
        if len(value) > most:
            self._refuse(name, f"must be at most {most} characters")
        return value or None

    def days(self) -> tuple[date | None, date | None]:
        """The days `from` and `to`, the earlier first."""
        first, last = self._day("from"), self._day("to")
        if first and last and last < first:
            return last, first
        return first, last

    def _day(self, name: str) -> date | None:
        value = self._arguments.get(name) or None
        if value is None:
            return None
        try:
            day = date.fromisoformat(value) if _DAY.fullmatch(value) else None
        except ValueError:
            day = None
        # Midnight in any zone may be a day earlier or later, and databases end at the year 9999.
        if day is None or not 1970 <= day.year <= 9000:
            self._refuse(name, "must be a day, such as 2026-11-20")
            return None
        return day

    def _refuse(self, name: str, why: str) -> None:
        self._errors.append(FieldError(name, why))
