"""How many rows a statement changed."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import CursorResult, Executable
from sqlalchemy.orm import Session


def changed(session: Session, statement: Executable) -> int:
    """Run an UPDATE or DELETE; gives how many rows it met."""
    return cast("CursorResult[Any]", session.execute(statement)).rowcount
