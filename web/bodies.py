"""JSON bodies, parsed strictly: an ambiguous body is refused before it is used."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Request, Response
from flask.json.provider import DefaultJSONProvider
from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from core.errors import MalformedJson
from core.json_text import Members, load_json

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.datastructures import Headers

BODY_BYTES_MAX = 65_536
DEPTH_MAX = 20

_View = TypeVar("_View", bound=Callable[..., Any])


class StrictBody(BaseModel):
    """A request body: strict types, and an unknown field is an error.

    For an optional field null means *not given*, because many clients write null for that. Errors
    never repeat the input, because it may be a password or a PIN.
    """

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        optional = _optional_fields(cls)
        return {
            name: value for name, value in data.items() if value is not None or name not in optional
        }

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Document that an optional field may be null."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name in _optional_fields(cls) & properties.keys():
            properties[name] = _or_null(properties[name])
        return schema


@cache
def _optional_fields(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(name for name, field in model.model_fields.items() if not field.is_required())


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field that may also be null; its notes stay outside of `anyOf`."""
    null = {"type": "null"}
    if null in schema.get("anyOf", ()):
        return schema
    about = ("default", "description", "title")
    notes: dict[str, Any] = {name: schema[name] for name in about if name in schema}
    values = {name: value for name, value in schema.items() if name not in notes}
    return {"anyOf": [values, null], **notes}


def body_limit(most: int) -> Callable[[_View], _View]:
    """Allow a view a larger body than others, in bytes, including the form around a file.

    A decorator outside this one must keep the view's attributes, as functools.wraps does.
    """

    def mark(view: _View) -> _View:
        view.body_bytes_max = most  # type: ignore[attr-defined]  # read by web.requests
        return view

    return mark


def parse_json(data: bytes) -> Any:
    """Parse JSON; numbers with a point become Decimal, never float.

    Raises MalformedJson, also for what other parsers read differently or no database stores:
    repeated keys, NaN, Infinity, lone surrogates, NUL characters, nesting deeper than 20.
    """
    value = load_json(
        data, encoding="utf-8", on_constant=_refuse_constant, on_members=_without_duplicates
    )
    # JSON contains NUL and lone surrogates only as `\u` escapes, and a value is nested no deeper
    # than its brackets are many.
    if b"\\u" in data or data.count(b"{") + data.count(b"[") > DEPTH_MAX:
        _check_text(value, 0)
    return value


def _refuse_constant(name: str) -> None:
    raise MalformedJson(f"The body has {name}, which is not JSON.")


def _without_duplicates(pairs: Members) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        keys: set[str] = set()
        for key, _ in pairs:
            if key in keys:
                raise MalformedJson(f"The key {key[:60]!a} appears more than once.")
            keys.add(key)
    return members


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
    """Raise MalformedJson for text that no database stores: NUL characters, lone surrogates."""
    if "\x00" in text:
        raise MalformedJson("Text must not contain NUL characters.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedJson("Text must not contain lone surrogates.") from None


class Complete(Response):
    """A response whose headers are complete when it is created; not for 204 and 304.

    Werkzeug would go through the headers again, to quote `Location` and to count the body. Here
    `Location` is an ASCII URL already, and the body is counted.
    """

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:  # noqa: ARG002 - Werkzeug's
        """Return the headers unchanged."""
        return self.headers


class StrictRequest(Request):
    """A request whose JSON body must be an object that `parse_json` accepts."""

    def _get_file_stream(self, *args: Any, **kwargs: Any) -> Any:
        stream = super()._get_file_stream(*args, **kwargs)
        self.__dict__.setdefault("_file_streams", []).append(stream)
        return stream

    def close(self) -> None:
        """Close every file of the form, even if the form was refused halfway."""
        super().close()
        for stream in self.__dict__.pop("_file_streams", ()):
            stream.close()

    def get_data(self, *args: Any, **kwargs: Any) -> Any:
        """The body. Raises RequestEntityTooLarge."""
        data = super().get_data(*args, **kwargs)
        # Werkzeug cuts a body without a length at the limit, and does not say so.
        is_at_limit = self.content_length is None and len(data) == self.max_content_length
        if is_at_limit and self.environ["wsgi.input"].read(1):
            raise RequestEntityTooLarge
        return data

    def get_json(
        self,
        force: bool = False,  # noqa: ARG002 - Flask's signature
        silent: bool = False,  # noqa: ARG002 - errors are never silent here
        cache: bool = True,
    ) -> Any:
        """The body as an object. Raises MalformedJson or UnsupportedMediaType, even if `silent`."""
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
    """Write answers compactly, in the order of their members, without escaping letters."""

    sort_keys = False
    ensure_ascii = False
    compact = True
