"""Structured logs: one line per event, with the request's id, for people or for machines."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog
from flask import g, has_request_context

from config import Settings


class Unfailing:
    """A stream whose failures are nobody's: a full disk below the log must refuse no payment."""

    def __init__(self, stream: TextIO) -> None:
        """Write to this stream."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or lose the line."""
        with suppress(OSError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        """Flush, or lose the line."""
        with suppress(OSError):
            self._stream.flush()


def _with_request_id(
    _logger: object, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Name the request a line belongs to; most requests write one or none."""
    if has_request_context() and "request_id" in g:
        line.setdefault("request_id", g.request_id)
    return line


def init_logs(settings: Settings) -> None:
    """Write to standard error: coloured text, or one JSON object a line."""
    level = getattr(logging, settings.log_level.upper())
    shared: list[structlog.typing.Processor] = [
        _with_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    written: list[structlog.typing.Processor]
    if settings.log_format == "json":
        written = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    elif not sys.stderr.isatty():  # a file or a pipe: no terminal shows aligned columns
        written = [
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ]
    else:
        written = [
            structlog.dev.ConsoleRenderer(
                colors=True,
                # Rich tracebacks print local variables, and those hold secrets.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    structlog.configure(
        processors=[*shared, *written],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", Unfailing(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    # What libraries log takes the same form: a collector reads every line.
    handler = logging.StreamHandler(sys.stderr)
    last = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *written]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last)
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
