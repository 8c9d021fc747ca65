"""One background thread per process that numbers events and begins to send them.

It runs when a unit of work has stored an event, when a slot becomes free, and each second.
"""

from __future__ import annotations

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
GATHER_SECONDS = 0.01
"""The pause between two runs, so that a busy service numbers many events at once."""
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
        self._is_stopping = False
        self._is_postponed = False
        self.arrivals = Arrivals()
        dispatcher.on_free = self.wake

    def hear(self, events: Sequence[StoredEvent]) -> None:
        """A commit listener: something may have to be numbered."""
        if any(event.name.is_in_feed for event in events):
            self._wake.set()

    def wake(self) -> None:
        """Run soon: something may have to be sent."""
        self._wake.set()

    def start(self) -> None:
        """Start the thread."""
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
            return events + self._attempt("dispatch", self.dispatcher.run)

    def _loop(self) -> None:
        while not self._is_stopping:
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()
            if not self._is_stopping:
                self.run_once()
                time.sleep(GATHER_SECONDS)

    def _number(self) -> int:
        events = number_events(self._keep_going)
        if events:
            self.arrivals.announce()
        return events

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
