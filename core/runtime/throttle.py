"""A limit of once in some seconds for each name, as for look-ups and repeated warnings."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

_NAMES_MAX = 10_000


class Throttle:
    """Allow each name once in `seconds`. Bounded, and local to this process."""

    def __init__(self, seconds: float) -> None:
        """Begin with no name."""
        self._seconds = seconds
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
            while len(self._allowed_at) > _NAMES_MAX:
                self._allowed_at.popitem(last=False)
            return True
