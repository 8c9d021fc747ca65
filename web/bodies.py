"""JSON bodies, read strictly: what is ambiguous is refused before anything is decided."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Request, Response
from flask.json.provider import DefaultJSONProvider
from pydantic import BaseModel, ConfigDict
from werkzeug.exceptions import UnsupportedMediaType

from core.errors import MalformedJson

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.datastructures import Headers

BODY_BYTES_MAX = 65_536
DEPTH_MAX = 20

_View = TypeVar("_View", bound=Callable[..., Any])


class StrictBody(BaseModel):
    """A request body: strict types, and an unknown field is an error.

    Errors never repeat the input, because it may be a password or a PIN.
    """

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


def body_limit(most: int) -> Callable[[_View], _View]:
    """Let a view be sent a larger body than others: so many bytes, the form around it included.

    The innermost decorator but for those that keep the view's attributes (functools.wraps).
    """

    def mark(view: _View) -> _View:
        view.body_bytes_max = most  # type: ignore[attr-defined]  # read by web.requests
        return view

    return mark


def parse_json(data: bytes) -> Any:
    """Parse a JSON text; numbers with a point become Decimal, never float.

    Raises MalformedJson for anything ambiguous as well: repeated keys, NaN, Infinity, lone
    surrogates, NUL characters, nesting deeper than 20.
    """
    try:
        text = data.decode("utf-8")
        value = json.loads(
            text,
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_duplicates,
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
        raise MalformedJson("The body holds a number that is too long.") from None
    _check_text(value, 0)
    return value


def _refuse_constant(name: str) -> None:
    raise MalformedJson(f"The body holds {name}, which is not JSON.")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise MalformedJson(f"The key {key[:60]!a} stands more than once.")
            seen.add(key)
    return found


def _check_text(value: Any, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise MalformedJson("The body is nested too deeply.")
    if isinstance(value, str):
        check_storable(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_storable(key)
            _check_text(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_text(item, depth + 1)


def check_storable(text: str) -> None:
    """Raise MalformedJson for text no database takes: NUL characters and lone surrogates."""
    if "\x00" in text:
        raise MalformedJson("Text must not hold NUL characters.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedJson("Text must not hold lone surrogates.") from None


class Complete(Response):
    """An answer with a body whose headers are written whole where it is made.

    Werkzeug goes through them once more for each answer, to resolve and quote a `Location` and to
    count the body. Here the one is absolute ASCII and the other was counted. Not for 204 and 304.
    """

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:  # noqa: ARG002 - Werkzeug's
        """The headers as they are."""
        return self.headers


class StrictRequest(Request):
    """A request whose JSON body is an object read by `parse_json`, or an error."""

    def _get_file_stream(self, *args: Any, **kwargs: Any) -> Any:
        stream = super()._get_file_stream(*args, **kwargs)
        self.__dict__.setdefault("_file_streams", []).append(stream)
        return stream

    def close(self) -> None:
        """Close every file of the form, also of one that was refused before its end."""
        super().close()
        for stream in self.__dict__.pop("_file_streams", ()):
            stream.close()

    def get_json(
        self,
        force: bool = False,  # noqa: ARG002 - Flask's signature
        silent: bool = False,  # noqa: ARG002 - nobody may be silent here
        cache: bool = True,
    ) -> Any:
        """The body as an object. Raises MalformedJson or UnsupportedMediaType; never silent."""
        data = self.get_data(cache=cache)
        if not data.strip():
            raise MalformedJson("The body is empty; a JSON object is expected.")
        if not self.is_json:
            raise UnsupportedMediaType("Send the body as application/json.")
        value = parse_json(data)
        if not isinstance(value, dict):
            raise MalformedJson("The body must be a JSON object.")
        return value


class WireJson(DefaultJSONProvider):
    """Answers keep their fields' order and their letters."""

    sort_keys = False
    ensure_ascii = False
    compact = True
