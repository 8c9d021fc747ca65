"""Notice that a bank's signatures keep failing: a wrong secret or a wrong clock.

A bank repeats what is answered 401, and meanwhile nobody is paid. So operators must hear of it.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=10)
FAILURES_MIN = 5
"""So many failures within WINDOW, and no success since the first of them, are a problem."""
SPREAD_MIN = timedelta(minutes=1)
"""The failures must last at least this long: one burst of nonsense is no bank."""
_FAILURES_MAX = 100


class SignatureFailures:
    """The failures in this process since the last signature that was right. Thread-safe.

    Bounded, and in memory: a bank repeats its notices, so that every process soon sees some.
    """

    def __init__(self) -> None:
        """Nothing has failed yet."""
        self._failed_at: list[datetime] = []
        self._is_reported = False
        self._lock = threading.Lock()

    def record_failure(self, now: datetime) -> bool:
        """Count a signature of the right form that is wrong; True when it becomes a problem."""
        with self._lock:
            recent = self._recent(now)
            if not self._is_problem(recent):
                self._is_reported = False
            # The oldest stays, because it says since when.
            self._failed_at = [*recent[:1], *recent[1:][-_FAILURES_MAX:], now]
            became_problem = self._is_problem(self._failed_at) and not self._is_reported
            self._is_reported |= became_problem
            return became_problem

    def record_success(self) -> bool:
        """Forget the failures; True if they were reported as a problem."""
        if not self._failed_at:  # The usual case takes no lock.
            return False
        with self._lock:
            was_reported, self._is_reported = self._is_reported, False
            self._failed_at = []
            return was_reported

    def problem(self, now: datetime) -> str | None:
        """The problem as a sentence, None if there is none."""
        with self._lock:
            recent = self._recent(now)
        if not self._is_problem(recent):
            return None
        return (
            f"The last {len(recent)} confirmations had a wrong signature: compare "
            "BANK_WEBHOOK_SECRET and the clocks of service and bank."
        )

    def _recent(self, now: datetime) -> list[datetime]:
        return [at for at in self._failed_at if now - at < WINDOW]

    @staticmethod
    def _is_problem(failures: list[datetime]) -> bool:
        return len(failures) >= FAILURES_MIN and failures[-1] - failures[0] >= SPREAD_MIN
