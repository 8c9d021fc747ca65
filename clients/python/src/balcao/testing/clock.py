"""The clock of a private service, which a test moves ahead through the file of CLOCK_FILE."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

from balcao.testing.errors import SandboxError

LEAD_SECONDS_MAX = 10_000_000_000
"""What the service accepts."""


class MovableClock:
    """The time of the service and of its bank. It only goes ahead, and never back.

    All tests of a session share it: compare times with `now()`, never with the machine's.
    """

    def __init__(self, path: Path | None) -> None:
        """`path` is the file that the service reads; None if its clock cannot be moved."""
        self._path = path
        self._lead = timedelta(0)
        self._lock = threading.Lock()

    @property
    def is_movable(self) -> bool:
        """Whether `advance` works: not for a service of BALCAO_URL."""
        return self._path is not None

    def now(self) -> datetime:
        """The time of the service, aware, in UTC."""
        return datetime.now(timezone.utc) + self._lead

    def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> datetime:
        """Let this much time pass at once, and return the time after it.

        Whatever ends in between ends now: each payment whose deadline passes expires. Raises
        SandboxError for a step back, and if the clock cannot be moved.
        """
        try:
            step = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        except (OverflowError, ValueError):
            raise SandboxError("The clock goes ahead by numbers of at most 300 years.") from None
        if step < timedelta(0):
            raise SandboxError("The clock only goes ahead.")
        if self._path is None:
            raise SandboxError(
                "The clock of a service that was started by somebody else cannot be moved: unset "
                "BALCAO_URL, so that the plugin starts a private service."
            )
        with self._lock:
            lead = self._lead + step
            if lead.total_seconds() > LEAD_SECONDS_MAX:
                raise SandboxError("The service's clock cannot go ahead by more than 300 years.")
            # Replaced in one step, so that the service never reads half of a number.
            new_file = self._path.with_name(f"{self._path.name}.new")
            new_file.write_text(f"{lead.total_seconds():.3f}", encoding="ascii")
            new_file.replace(self._path)
            self._lead = lead
        return self.now()

    def advance_to(self, instant: datetime) -> datetime:
        """Advance to this aware instant; nothing happens if it has passed."""
        return self.advance(seconds=max((instant - self.now()).total_seconds(), 0))
