"""Conditional updates: the row count says whether the condition still held."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import CursorResult, Update
from sqlalchemy.orm import Session


def rows_changed(session: Session, statement: Update) -> int:
    """Run an update and return how many rows it matched.

    MySQL by itself counts only rows whose values changed; SQLAlchemy sets the driver's
    CLIENT.FOUND_ROWS flag, so that matched rows count on every engine.
    """
    return cast(CursorResult[Any], session.execute(statement)).rowcount
