"""APScheduler with intervals by the monotonic clock.

APScheduler plans each run as a time of the wall clock. When someone sets that clock back by ten
minutes, its jobs rest for ten minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import STATE_STOPPED

from core.clock import SystemClock

JUMP_MIN_SECONDS = 2.0
"""A smaller difference is a correction by the time service: the jobs run that much later."""
_CHECK_SECONDS = 1.0


class SteadyScheduler(BackgroundScheduler):  # type: ignore[misc]  # APScheduler has no types
    """Keeps its intervals when the wall clock jumps, forward or back."""

    def __init__(self, on_jump: Callable[[float], None], **options: Any) -> None:
        """Call `on_jump` with the seconds of each jump; they are negative for a jump back."""
        super().__init__(**options)
        self._on_jump = on_jump

    def _main_loop(self) -> None:
        lead_seconds = _wall_lead_seconds()
        wait_seconds = _CHECK_SECONDS
        while self.state != STATE_STOPPED:
            self._event.wait(min(wait_seconds, _CHECK_SECONDS))
            self._event.clear()
            previous_seconds, lead_seconds = lead_seconds, _wall_lead_seconds()
            jump_seconds = lead_seconds - previous_seconds
            if abs(jump_seconds) > JUMP_MIN_SECONDS and self.state != STATE_STOPPED:
                self._move_runs(timedelta(seconds=jump_seconds))
                try:
                    self._on_jump(jump_seconds)
                except Exception:
                    self._logger.exception("the jump of the clock could not be handled")
            # None without jobs.
            due_in_seconds: float | None = self._process_jobs()
            wait_seconds = _CHECK_SECONDS if due_in_seconds is None else due_in_seconds

    def _move_runs(self, jump: timedelta) -> None:
        """Move the next run of each job by the jump."""
        now = SystemClock().now()
        for job in self.get_jobs():
            # A run that was planned during the jump must not move by the jump once more.
            latest = now + job.trigger.interval
            job.modify(next_run_time=min(job.next_run_time + jump, latest))


def _wall_lead_seconds() -> float:
    """By how much the wall clock is ahead of the monotonic clock; only a jump changes it."""
    return SystemClock().now().timestamp() - time.monotonic()
