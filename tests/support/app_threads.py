"""The threads in which an app works in the background: none of them may outlive the app.

One that did would go on through later tests of the same process, with a database that is gone and
whatever those tests put in place of the network or the clock.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from flask import Flask

from config import parts_of

ENDS_WITHIN_SECONDS = 5.0
CALLS_END_WITHIN_SECONDS = 2.0


def end_threads(app: Flask) -> None:
    """Stop what the app does in the background, as a service that stops, and wait for the end.

    Raises AssertionError if a thread goes on: one of a call or a visit to a bank, of a check of a
    bank, of the leases, of the worker of webhooks, or one that listens to Redis. The check of
    watchers ends by itself after a pause, and does nothing more.
    """
    parts = parts_of(app)
    parts.watchings.forget_all()
    parts.announcer.stop()
    parts.ledger.callers.stop()
    parts.webhooks.worker.stop()
    parts.charge_calls.stop(CALLS_END_WITHIN_SECONDS)
    parts.charge_calls.leases.stop()
    limit = time.monotonic() + ENDS_WITHIN_SECONDS
    for thread in threads_of(app):
        thread.join(max(0.0, limit - time.monotonic()))
    left = [f"{thread.name}: {_method_of(thread)}" for thread in threads_of(app)]
    assert not left, f"these threads go on after their app: {left}"


def threads_of(app: Flask) -> list[threading.Thread]:
    """The living threads that run a method of one of the app's parts."""
    parts = parts_of(app)
    of_redis = (parts.announcer._channel, _owner_of(parts.ledger.callers.stop))

    def is_of_app(owner: Any) -> bool:
        if owner is None or owner is parts.watchings:
            return False
        return getattr(owner, "_app", None) is app or any(owner is one for one in of_redis)

    return [one for one in threading.enumerate() if is_of_app(_owner_of(_method_of(one)))]


def _method_of(thread: threading.Thread) -> Any:
    """What the thread runs; None once it has ended."""
    return getattr(thread, "_target", None)


def _owner_of(method: Any) -> Any:
    """The object of a bound method."""
    return getattr(method, "__self__", None)
