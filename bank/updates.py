"""Conditional updates: the number of rows says who won."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import CursorResult, Update
from sqlalchemy.orm import Session


def rows_changed(session: Session, statement: Update) -> int:
    """Run an update and count the rows it matched.

    MySQL counts only rows whose values changed unless the driver asks otherwise; SQLAlchemy does.
    """
    return cast(CursorResult[Any], session.execute(statement)).rowcount
