"""The database of a process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Engine

from core.clock import Clock
from repository.accounts import RecentAccounts
from repository.events import StoredEvent
from repository.recent_callers import RecentCallers

Listener = Callable[[list[StoredEvent]], None]

QUIET_MAX = timedelta(seconds=10)
"""How long a SQLite file counts as writable after a write."""


@dataclass
class Ledger:
    """The database of a process, with its clock and what follows its commits."""

    clock: Clock
    engine: Engine
    reading_engine: Engine
    recent: RecentAccounts = field(default_factory=RecentAccounts)
    callers: RecentCallers = field(default_factory=RecentCallers)
    commit_listeners: list[Listener] = field(default_factory=list)
    on_deliveries: Callable[[], None] = lambda: None
    """Called after the commit of a transaction that stored deliveries itself."""
    lost_at: datetime | None = None
    """When this process last lost its database; None if it never did."""
    written_at: datetime | None = None
    """When this process last wrote to its database; None if it never did."""

    @property
    def is_write_unproved(self) -> bool:
        """Whether only a write can tell that the database works.

        So it is after a loss. A SQLite file also needs a write after a quiet time: its disk may
        have become full, and reads do not notice that.
        """
        if self.written_at is None:
            return self.lost_at is not None or self.is_sqlite
        if self.lost_at is not None and self.written_at <= self.lost_at:
            return True
        return self.is_sqlite and self.clock.now() - self.written_at >= QUIET_MAX

    def move(self, jump: timedelta) -> None:
        """Move the times in memory with the wall clock, which someone has set."""
        self.lost_at = self.lost_at and self.lost_at + jump
        self.written_at = self.written_at and self.written_at + jump

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is one file with one writer."""
        return self.engine.dialect.name == "sqlite"
