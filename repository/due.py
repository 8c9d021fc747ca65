"""Whether a pause or lease in a row is over, also after the clock was set back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_

from core.clock import latest_end


def is_over(end: Any, now: datetime, longest_pause: timedelta) -> ColumnElement[bool]:
    """Whether the pause or lease that ends at this column is over.

    `longest_pause` is the longest that its writer can set. Both conditions are ranges of one index.
    """
    return or_(end <= now, is_too_far(end, now, longest_pause))


def is_too_far(end: Any, now: datetime, longest_pause: timedelta) -> ColumnElement[bool]:
    """Whether a clock that was set back since wrote this end."""
    condition: ColumnElement[bool] = end > latest_end(now, longest_pause)
    return condition
