"""Whether a pause or lease in a row is over, also after the clock was set back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_

from core.clock import latest_end

EVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Earlier than every row. `column > EVER` means *not null*, and every engine uses the index."""


def is_over(end: Any, now: datetime, longest_pause: timedelta) -> ColumnElement[bool]:
    """Whether the pause or lease that ends at this column is over.

    `longest_pause` is the longest that its writer can set. Both conditions are ranges of one index.
    """
    # SQLite reads the index from this bound on, and not from the rows without an end.
    return and_(end > EVER, or_(end <= now, is_too_far(end, now, longest_pause)))


def is_too_far(end: Any, now: datetime, longest_pause: timedelta) -> ColumnElement[bool]:
    """Whether a clock that was set back since wrote this end."""
    condition: ColumnElement[bool] = end > latest_end(now, longest_pause)
    return condition
