"""Warnings about what a bank says again and again, at most once an hour each."""

from __future__ import annotations

import structlog

from core.runtime.throttle import Throttle

log = structlog.get_logger()

_warnings = Throttle(3600)


def warn_hourly(event: str, about: str | None, **details: object) -> None:
    """Warn once an hour: overlapping windows return the same transfer again and again."""
    if _warnings.allow(f"{event} {about}"):
        log.warning(event, about=about, **details)
