"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FrozenClock:
    """Returns the same instant until `advance` moves it."""

    def __init__(self, instant: datetime = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)) -> None:
        self.instant = instant

    def now(self) -> datetime:
        """The instant that the test has set."""
        return self.instant

    def advance(self, **lengths: float) -> datetime:
        """Move on by a timedelta's arguments: advance(seconds=10)."""
        self.instant += timedelta(**lengths)
        return self.instant
