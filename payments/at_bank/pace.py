"""Allow something at most once in some seconds per name, in this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

_NAMES_MAX = 10_000


class Pace:
    """Bounded, so that invented names cannot fill the memory: the oldest names are forgotten."""

    def __init__(self, seconds: float, names_max: int = _NAMES_MAX) -> None:
        """Allow each name once in `seconds`."""
        self._seconds = seconds
        self._names_max = names_max
        self._allowed_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def allow(self, name: str) -> bool:
        """Whether `seconds` have passed since the last True for this name."""
        moment = time.monotonic()
        with self._lock:
            last = self._allowed_at.get(name)
            if last is not None and moment - last < self._seconds:
                return False
            self._allowed_at[name] = moment
            self._allowed_at.move_to_end(name)
            while len(self._allowed_at) > self._names_max:
                self._allowed_at.popitem(last=False)
            return True
