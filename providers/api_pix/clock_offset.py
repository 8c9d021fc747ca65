"""How far a bank's clock is ahead of ours, by the header `Date` of its answers."""

from __future__ import annotations

import threading
from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from statistics import median

SAMPLES_MAX = 9
WARNED_FROM = timedelta(seconds=30)
BELIEVED_UP_TO = timedelta(hours=26)
"""No zone that a clock may have by mistake is further away; a stored or wrong `Date` may be."""
_HALF_SECOND = timedelta(milliseconds=500)
"""A `Date` has whole seconds, cut off (RFC 9110, 5.6.7)."""


class ClockOffset:
    """The median of the last answers, so that one slow answer changes nothing."""

    def __init__(self) -> None:
        """There is no answer yet."""
        self._samples: deque[float] = deque(maxlen=SAMPLES_MAX)
        self._lock = threading.Lock()

    def note(self, date: str | None, began: datetime, ended: datetime) -> None:
        """Note the `Date` of an answer to a request of this duration; anything else is ignored.

        So is a `Date` that is more than BELIEVED_UP_TO away: windows of lists would miss all money.
        """
        moment = parse_http_date(date)
        if moment is None:
            return
        offset = moment - (began + (ended - began) / 2) + _HALF_SECOND
        if abs(offset) > BELIEVED_UP_TO:
            return
        with self._lock:
            self._samples.append(offset.total_seconds())

    def value(self) -> timedelta | None:
        """How far the bank's clock is ahead; None before the first answer with a `Date`."""
        with self._lock:
            samples = list(self._samples)
        return timedelta(seconds=median(samples)) if samples else None

    @property
    def is_large(self) -> bool:
        """Whether a person should look at the clocks."""
        value = self.value()
        return value is not None and abs(value) > WARNED_FROM


def parse_http_date(text: str | None) -> datetime | None:
    """The instant of an HTTP date; None if it is missing or wrong."""
    if not text or len(text) > 64:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
