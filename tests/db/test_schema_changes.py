"""A migration beside a running service: a deadlock ends no schema change."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from pymysql.err import OperationalError

from migrations import deadlocks

ALTER = "ALTER TABLE changes ADD COLUMN more INTEGER"


class Victim:
    """A cursor whose first statements the server ends because of a deadlock."""

    def __init__(self, errors: list[int]) -> None:
        self.errors = errors
        self.statements: list[str] = []

    def execute(self, statement: str, _parameters: Any) -> None:
        """Record the statement, or fail."""
        self.statements.append(statement)
        if self.errors:
            raise OperationalError(self.errors.pop(0), "ended")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(deadlocks, "PAUSE_SECONDS", 0.0)


def test_a_change_is_sent_again_after_each_deadlock():
    """Until it is done; nothing of an ended one was done."""
    cursor = Victim([1213, 1213])
    assert deadlocks.send(cursor, ALTER, {}, None)
    assert cursor.statements == [ALTER] * 3


def test_other_errors_and_endless_deadlocks_end_it():
    """A column that exists already, and a table that is never free."""
    with pytest.raises(OperationalError, match="1060"):
        deadlocks.send(Victim([1060]), ALTER, {}, None)
    cursor = Victim([1213] * 100)
    with pytest.raises(OperationalError, match="1213"):
        deadlocks.send(cursor, ALTER, {}, None)
    assert len(cursor.statements) == deadlocks.ATTEMPTS_MAX


def test_a_change_of_rows_is_left_to_its_transaction():
    """After a deadlock the whole transaction is gone, not the statement alone."""
    cursor = Victim([])
    assert not deadlocks.send(cursor, "UPDATE changes SET more = 1", {}, None)
    assert cursor.statements == []


def test_the_changes_of_a_migration_are_sent_so(fresh_database, monkeypatch):
    """As long as the migration runs."""
    engine = sa.create_engine(fresh_database("mysql"))
    texts: list[str] = []
    send = deadlocks.send

    def note(cursor: Any, statement: str, parameters: Any, context: object) -> bool:
        texts.append(statement)
        return send(cursor, statement, parameters, context)

    monkeypatch.setattr(deadlocks, "send", note)
    with engine.connect() as connection:
        with deadlocks.repeated_after_deadlocks(connection):
            connection.execute(sa.text("CREATE TABLE changes (id INTEGER)"))
            connection.execute(sa.text(ALTER))
        connection.execute(sa.text("DROP TABLE changes"))
    assert texts == ["CREATE TABLE changes (id INTEGER)", ALTER]
    engine.dispose()
