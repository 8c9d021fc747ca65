"""One background thread per process that numbers events and begins to send them.

It numbers when a unit of work has stored an event, and sends when deliveries were stored or a slot
becomes free. Each second it does both, for other processes and for what has become due.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence

import structlog
from flask import Flask

from core.errors import BalcaoError
from repository.events import StoredEvent
from webhooks.dispatcher import Dispatcher
from webhooks.numbering import number_events

log = structlog.get_logger()

POLL_SECONDS = 1.0
"""How long events and deliveries of other processes may go unnoticed."""
GATHER_SECONDS, GATHER_SECONDS_MAX = 0.01, 0.05
"""The bounds of the pause between two runs, so that a busy service numbers many events at once."""
GATHER_RUNS = 3
"""Between them, a pause is as long as so many runs: the busier the service, the fewer runs."""
STOP_SECONDS = 2.0
"""How long a stop waits for requests in progress; the rest is sent again after its lease."""


class Arrivals:
    """Tells the streams of this process that events got their positions."""

    def __init__(self) -> None:
        """Nothing has arrived yet."""
        self._condition = threading.Condition()

    def announce(self) -> None:
        """Wake everybody who waits."""
        with self._condition:
            self._condition.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait for the next arrival, at most this long."""
        with self._condition:
            self._condition.wait(seconds)


class Worker:
    """Numbers events, and hands due deliveries to the dispatcher."""

    def __init__(self, app: Flask, dispatcher: Dispatcher) -> None:
        self._app = app
        self.dispatcher = dispatcher
        self._wake = threading.Event()
        self._may_number = False
        """Whether this process has stored events since the last numbering began."""
        self._may_send = False
        """Whether something may be due since the dispatcher began its last run."""
        self._poll_at = math.inf
        """When to number and to send in any case, by the monotonic clock."""
        self._is_stopping = False
        self._is_postponed = False
        self.arrivals = Arrivals()
        dispatcher.on_free = self.wake_dispatcher

    def hear(self, events: Sequence[StoredEvent]) -> None:
        """A commit listener: something may have to be numbered."""
        if any(event.name.is_in_feed for event in events):
            self.wake_numbering()

    def wake_numbering(self) -> None:
        """Number soon: there may be new events."""
        self._may_number = True
        if not self._wake.is_set():  # under load it is, and to set it again takes a lock
            self._wake.set()

    def wake_dispatcher(self) -> None:
        """Send soon: there are new deliveries, or there is a slot for those that wait."""
        self._may_send = True
        self._wake.set()

    def start(self) -> None:
        """Start the thread."""
        self._poll_at = time.monotonic() + POLL_SECONDS
        threading.Thread(target=self._loop, name="webhooks-worker", daemon=True).start()

    def stop(self) -> None:
        """Begin nothing new, and wait a moment for requests in progress."""
        self._is_stopping = True
        self._wake.set()
        self.dispatcher.stop(STOP_SECONDS)

    @property
    def is_stopping(self) -> bool:
        """Whether the process stops; streams end then."""
        return self._is_stopping

    def run_once(self) -> int:
        """Number events and begin to send; return how many of both.

        What cannot be done now is done by a later run.
        """
        with self._app.app_context():
            events = self._attempt("number", self._number)
            return events + self._attempt("dispatch", self._send)

    def _loop(self) -> None:
        while not self._is_stopping:
            self._wake.wait(max(0.0, self._poll_at - time.monotonic()))
            self._wake.clear()
            began_at = time.monotonic()
            if not self._is_stopping and self._run_if_needed():
                pause = GATHER_RUNS * (time.monotonic() - began_at)
                time.sleep(min(max(pause, GATHER_SECONDS), GATHER_SECONDS_MAX))

    def _run_if_needed(self) -> bool:
        """Number, send, or both; False if neither was needed."""
        if time.monotonic() >= self._poll_at:
            self.run_once()
            self._poll_at = time.monotonic() + POLL_SECONDS
            return True
        if not (self._may_number or self._may_send):
            return False
        with self._app.app_context():
            # Another process that numbered this one's events may have no slot for all of them.
            if self._may_number and not self._attempt("number", self._number):
                self._may_send = True
            if self._may_send:  # `_number` sets it when it has stored deliveries
                self._attempt("dispatch", self._send)
        return True

    def _number(self) -> int:
        self._may_number = False  # before it reads, or an event in between would wait for the poll
        events = number_events(self._keep_going)
        if events:
            self.arrivals.announce()
        return events

    def _send(self) -> int:
        self._may_send = False  # before it reads, as in `_number`
        return self.dispatcher.run()

    def _attempt(self, step: str, work: Callable[[], int]) -> int:
        try:
            number = work()
        except BalcaoError as error:
            if not self._is_postponed:  # one line per outage
                log.warning("webhooks.postponed", step=step, code=error.code)
            self._is_postponed = True
            time.sleep(GATHER_SECONDS)
        except Exception:
            log.exception("webhooks.run_failed", step=step)
            time.sleep(POLL_SECONDS)
        else:
            self._is_postponed = False
            return number
        return 0

    def _keep_going(self) -> bool:
        return not self._is_stopping
