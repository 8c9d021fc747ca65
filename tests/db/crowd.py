"""Threads that start their work at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

MEET_SECONDS = 30.0
DONE_SECONDS = 60.0


def at_once(actions: Sequence[Callable[[], Any]], within: float = DONE_SECONDS) -> list[Any]:
    """Run each action in its own thread, all starting together; return their results.

    Raises the first error of an action, or AssertionError if an action does not end in time.
    """
    meeting = threading.Barrier(len(actions))
    results: list[Any] = [None] * len(actions)
    errors: list[BaseException] = []

    def run(place: int) -> None:
        try:
            meeting.wait(MEET_SECONDS)
            results[place] = actions[place]()
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=(place,), daemon=True) for place in range(len(actions))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(within)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), f"not done within {within:.0f} s"
    return results
