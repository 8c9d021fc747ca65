"""Time: one clock, in aware UTC, which tests can replace."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Protocol

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


MACHINES_DIFFER_MAX = timedelta(seconds=60)
"""How far the clocks of two machines of this service may differ."""


def latest_end(now: datetime, longest_pause: timedelta) -> datetime:
    """The latest end of a pause or lease that a right clock can have written by now.

    A later end was written before someone set the clock back. Such a pause or lease is over, or it
    would last for the whole jump.
    """
    return now + longest_pause + MACHINES_DIFFER_MAX


class Clock(Protocol):
    """The only source of the present time in the product."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)


def rfc3339(instant: datetime) -> str:
    """Write an aware instant as RFC 3339 in UTC with `Z`, with milliseconds."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """Parse an RFC 3339 instant; the offset is required, so local time is never taken for UTC.

    Raises ValueError for anything else, also for dates that do not exist.
    """
    if not _RFC3339.fullmatch(text):
        raise ValueError("must be an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a date and time that exist") from None
