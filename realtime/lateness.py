"""Tell payment pages while events of other processes may come late, so that they poll as before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

CLIENTS_AT_ONCE = 100
"""Other clients get a turn after so many messages."""


class Lateness:
    """Whether events may come late now, and the clients that asked to hear of it."""

    def __init__(
        self,
        tell: Callable[[Sequence[str], bool], None],
        in_background: Callable[[Callable[[], None]], object],
        *,
        is_late: bool,
    ) -> None:
        """`tell` sends the state to these clients and gives way to others; a task may call it."""
        self._tell = tell
        self._in_background = in_background
        self._sids: set[str] = set()
        self.is_late = is_late

    def add(self, sid: str) -> None:
        """Tell this client of each change from now on."""
        self._sids.add(sid)

    def remove(self, sid: str) -> None:
        """Forget a client, which has gone."""
        self._sids.discard(sid)

    def change(self, is_late: bool) -> None:
        """Set the state; the clients, who may be thousands, hear of it in the background."""
        self.is_late = is_late
        if self._sids:
            self._in_background(self._tell_all)

    def _tell_all(self) -> None:
        sids = list(self._sids)
        for start in range(0, len(sids), CLIENTS_AT_ONCE):
            # The state of now: an older task may run after a newer one.
            self._tell(sids[start : start + CLIENTS_AT_ONCE], self.is_late)
