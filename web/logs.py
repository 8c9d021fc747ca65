"""Structured logs: one line per event, with the request's id."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

import structlog
from flask import g, has_request_context

from config import Settings
from core.clock import SystemClock
from core.runtime.proxies import behind

_UNPRINTABLE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb"
    "\\ud800-\\udfff\\U000e0000-\\U000e007f]"
)
"""Controls, marks that turn the direction of text, characters without a width, and surrogates."""
_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")
"""A text that logfmt and JSON write as it is: printable ASCII without space, `"`, `=` and `\\`."""
_LINES = ("exception", "stack")
"""Fields of several lines: a traceback keeps its line breaks."""


class Unfailing:
    """A stream that hides write errors: a full disk under the log must not refuse a payment."""

    def __init__(self, stream: TextIO) -> None:
        """Write to this stream."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text; drop it on an error."""
        with suppress(OSError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        """Flush; ignore an error."""
        with suppress(OSError):
            self._stream.flush()


def _with_request_id(
    _logger: object, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Add the id of the current request to a line."""
    if has_request_context() and "request_id" in (context := behind(g)):
        line.setdefault("request_id", context.request_id)
    return line


def _escape_text(text: str) -> str:
    """The text with each unprintable character as an escape, such as `\\x1b`."""
    if text.isascii() and text.isprintable():  # nearly all texts, and cheaper than the search
        return text
    return _UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], text)


def _escape_value(value: object) -> object:
    """A value that no renderer writes raw: a client chose parts of it."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {_escape_text(str(key)): _escape_value(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_escape_value(one) for one in value]
    return _escape_text(str(value))


def _escape_line(
    _logger: object, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escape what could command the terminal that shows the line, or look like another line."""
    escaped: structlog.typing.EventDict = {}
    for key, value in line.items():
        if key in _LINES and isinstance(value, str):
            escaped[key] = "\n".join(_escape_text(one) for one in value.split("\n"))
        else:
            name = key if key.isidentifier() else _escape_text(key)
            escaped[name] = _escape_value(value)
    return escaped


class PlainLines:
    """Writes lines of level info as the configured processors do, in one step.

    Only a line whose texts need no escape is written here, and only while structlog is configured
    as `init_logs` left it.
    """

    def __init__(self) -> None:
        """Nothing is written before `follow`."""
        self._config: dict[str, Any] = {}
        self._write: Callable[[str], object] | None = None
        self._is_json = False

    def follow(self, level: int, renderer: structlog.typing.Processor) -> None:
        """Write as this renderer does, to where structlog is configured to write."""
        config = structlog.get_config()
        self._config = {**config, "processors": [*config["processors"]]}
        self._is_json = isinstance(renderer, structlog.processors.JSONRenderer)
        is_logfmt = isinstance(renderer, structlog.processors.LogfmtRenderer)
        is_written = level <= logging.INFO and (self._is_json or is_logfmt)
        self._write = config["logger_factory"]().msg if is_written else None

    def write(self, event: str, fields: Mapping[str, str | float]) -> bool:
        """Write the line; False, and no line, if the processors must do it."""
        if self._write is None or structlog.get_config() != self._config:
            return False
        for value in fields.values():
            if isinstance(value, str) and not _PLAIN.fullmatch(value):
                return False
        timestamp = SystemClock().now().isoformat().replace("+00:00", "Z")
        if self._is_json:
            line = {**fields, "event": event, "level": "info", "timestamp": timestamp}
            self._write(json.dumps(line))
        else:
            rest = " ".join([f"{name}={value}" for name, value in fields.items()])
            self._write(f"timestamp={timestamp} level=info event={event} {rest}")
        return True


plain_lines = PlainLines()
"""Those of this process, as structlog's configuration is the process's."""


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Write errors alone, to the standard error, so that a command's output is its own."""
    config = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.configure(**config)


def init_logs(settings: Settings) -> None:
    """Log to standard error: as JSON, as logfmt, or in colour on a terminal."""
    level = getattr(logging, settings.log_level.upper())
    shared: list[structlog.typing.Processor] = [
        _with_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[structlog.typing.Processor]
    renderer = _renderer(settings)
    renderers = [structlog.processors.format_exc_info, _escape_line, renderer]
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", Unfailing(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    plain_lines.follow(level, renderer)
    # Libraries log in the same format, so that a collector can read every line.
    handler = logging.StreamHandler(sys.stderr)
    last = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last)
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)


def _renderer(settings: Settings) -> structlog.typing.Processor:
    """What makes the text of a line."""
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer()
    if not sys.stderr.isatty():  # a file or a pipe, where colour and columns would disturb
        return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    return structlog.dev.ConsoleRenderer(
        colors=True,
        # Rich tracebacks print local variables, and those hold secrets.
        exception_formatter=structlog.dev.plain_traceback,
    )
