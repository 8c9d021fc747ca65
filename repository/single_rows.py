"""Statements on one row, which the queries on several tables share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import CursorResult, Insert, Update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value


def insert_row(session: Session, statement: Insert) -> int:
    """Insert a row; return its id."""
    key: Any = cast("CursorResult[Any]", session.execute(statement)).inserted_primary_key
    return int(key[0])


def change_row(session: Session, row: Any, statement: Update, values: Mapping[str, Any]) -> bool:
    """Give these values to the row of the statement, and to the object that was read from it.

    False if the statement's conditions match no row: then the object stays as it is.
    """
    options = {"synchronize_session": False}
    result = session.execute(statement.values(**values), execution_options=options)
    if cast("CursorResult[Any]", result).rowcount != 1:
        return False
    for name, value in values.items():
        set_committed_value(row, name, value)
    return True
