"""Parse JSON from bytes of a stranger: every way in which parsing can fail is one error."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from core.errors import MalformedJson

_ABSENT = object()

Members = list[tuple[str, Any]]
"""The members of one object, in order, repeated keys too."""


def load_json(
    data: bytes,
    *,
    encoding: str,
    on_constant: Callable[[str], Any],
    on_members: Callable[[Members], Any],
) -> Any:
    """Parse JSON; numbers with a point become Decimal, never float.

    `on_constant` gets NaN, Infinity or -Infinity, and `on_members` the members of an object; each
    returns the value. Raises MalformedJson.
    """
    try:
        return json.loads(
            data.decode(encoding),
            parse_float=Decimal,
            parse_constant=on_constant,
            object_pairs_hook=on_members,
        )
    except UnicodeDecodeError:
        raise MalformedJson("The body is not UTF-8.") from None
    except RecursionError:
        raise MalformedJson("The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise MalformedJson(
            f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except (ValueError, ArithmeticError):
        raise MalformedJson("The body has a number that is too long.") from None


def load_tolerant_json(data: bytes, *, encoding: str) -> Any:
    """Parse JSON of a bank: NaN, Infinity and contradictory members count as null.

    A member is contradictory if it is repeated with another value. Raises MalformedJson.
    """
    return load_json(data, encoding=encoding, on_constant=_null, on_members=_without_contradictions)


def _null(_name: str) -> None:
    """NaN and Infinity are not JSON."""


def _without_contradictions(pairs: Members) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        earlier = members.get(key, _ABSENT)
        members[key] = value if earlier is _ABSENT or earlier == value else None
    return members
