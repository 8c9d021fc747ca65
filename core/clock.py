"""Time: one clock, in aware UTC, which tests can replace, and tests of shops can move ahead."""

from __future__ import annotations

import re
import stat
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)

_LEAD = re.compile(r"\d+(\.\d+)?", re.ASCII)
_LEAD_BYTES_MAX = 64
LEAD_SECONDS_MAX = 10_000_000_000
"""Some 300 years: the tests of a day may advance the clock by 90 days each."""

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


class ShiftedClock:
    """The machine's clock, ahead by the seconds in a file, which a test changes. Development only.

    The clock never goes back: a lower number, and a file that is missing or unreadable, change
    nothing.
    """

    def __init__(self, path: Path) -> None:
        """A missing file means 0. Raises ValueError for a file without a number of seconds."""
        self._path = path
        self._lead = _lead_in(path) or timedelta(0)

    def now(self) -> datetime:
        """The machine's time and the largest lead that the file had so far."""
        with suppress(ValueError):  # the file is being written: the number before it still counts
            self._lead = max(self._lead, _lead_in(self._path) or self._lead)
        return self.machine_now() + self._lead

    def machine_now(self) -> datetime:
        """The machine's time."""
        return SystemClock().now()


def _lead_in(path: Path) -> timedelta | None:
    """The lead in this file; None without a file. Raises ValueError."""
    try:
        # A pipe would wait for its writer at each question for the time.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("must be a regular file")
        with path.open("rb") as file:
            text = file.read(_LEAD_BYTES_MAX).decode(errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if not _LEAD.fullmatch(text) or float(text) > LEAD_SECONDS_MAX:
        raise ValueError(f"must hold a number of seconds from 0 to {LEAD_SECONDS_MAX}")
    return timedelta(seconds=float(text))


def outside_now(clock: Clock) -> datetime:
    """The time of programs that do not follow a ShiftedClock: a shop's server, a JWT's expiry."""
    return clock.machine_now() if isinstance(clock, ShiftedClock) else clock.now()


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
