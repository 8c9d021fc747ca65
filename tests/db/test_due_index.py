"""The search for due payments reads one index and nothing else, however large the table."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from db_models import Payment
from db_models.base import db
from repository.database import reading
from tests.db.tables import NOON, Tables, payment_row
from tests.support.service import close_app, ready_app, settings_for

ROWS, DUE = 3000, 40
INDEX = "ix_payments_due"
EVIDENCE = {
    "sqlite": rf"USING COVERING INDEX {INDEX} ",
    "mysql": rf"\b{INDEX}\b.*Using index(?! condition)",
    "postgresql": rf"Index Only Scan using {INDEX} ",
}


@pytest.fixture
def shop(any_database_url, tmp_path, clock):
    """A service whose table holds mostly paid payments, some waiting and some due."""
    app = ready_app(settings_for(any_database_url, tmp_path), clock)
    tables = Tables(any_database_url)
    merchant = tables.merchant_id()
    rows = []
    for number in range(ROWS):
        row = payment_row(merchant, br_code="0002" * 40, expires_at=NOON + timedelta(days=1))
        if number < DUE:
            row |= {"expires_at": NOON + timedelta(seconds=DUE - number)}
        elif number % 10:
            row |= {"status": "confirmed", "resolved_at": NOON, "end_to_end_id": f"E{number}"}
        else:
            row |= {"status": "pending"}
        rows.append({"resolved_at": None, "end_to_end_id": None, **row})
    tables.insert(Payment, *rows)
    analyse = {
        "sqlite": "ANALYZE",
        "mysql": "ANALYZE TABLE payments",
        "postgresql": "VACUUM ANALYZE payments",  # an index-only scan needs the visibility map
    }
    statement = analyse[tables.engine.dialect.name]
    with tables.engine.connect() as connection:
        connection.exec_driver_sql(statement)
    yield app
    close_app(app)


def plan(work, search):
    """How the engine answers the statement that `search` sends, as text."""
    bind = work.session.get_bind()
    statements = []

    def keep(_connection, _cursor, statement, parameters, _context, _many):
        statements.append((statement, parameters))

    sa.event.listen(bind, "before_cursor_execute", keep)
    try:
        search(work.payments)
    finally:
        sa.event.remove(bind, "before_cursor_execute", keep)
    statement, parameters = next(one for one in statements if one[0].startswith("SELECT"))
    # MySQL 9 explains as a tree by default, MariaDB and MySQL 8 as this table.
    explain = {
        "sqlite": "EXPLAIN QUERY PLAN",
        "mysql": "EXPLAIN FORMAT=TRADITIONAL",
        "postgresql": "EXPLAIN",
    }[bind.dialect.name]
    connection = work.session.connection()
    rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
    return "\n".join(" ".join(str(part) for part in row) for row in rows)


@pytest.mark.parametrize("name", ["ids_due", "oldest_due"])
def test_due_payments_are_found_in_the_index_alone(shop, clock, name):
    """A sweep runs every second: even with a million rows it must read only due ones."""
    now = clock.advance(minutes=1)
    searches = {
        "ids_due": lambda payments: payments.ids_due(now, 20),
        "oldest_due": lambda payments: payments.oldest_due(now),
    }
    with shop.app_context(), reading() as work:
        query_plan = plan(work, searches[name])
        evidence = EVIDENCE[db.engine.dialect.name]
    assert re.search(evidence, query_plan), query_plan
    assert not re.search(r"filesort|Sort Key|TEMP B-TREE", query_plan), query_plan


def test_the_longest_due_payments_are_found_first(shop, clock):
    """A bounded batch takes the oldest payments, so none waits for ever behind newer ones."""
    now = clock.advance(minutes=1)
    with shop.app_context(), reading() as work:
        ids = work.payments.ids_due(now, 5)
        deadlines = [work.session.get_one(Payment, row).expires_at for row in ids]
        oldest = work.payments.oldest_due(now)
    assert deadlines == [NOON + timedelta(seconds=n) for n in range(1, 6)]
    assert oldest == deadlines[0]
