"""Money that does not fit is counted every few seconds, from one index alone."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from db_models import ProviderAccount, Receipt
from repository.database import reading
from tests.db.tables import NOON, Tables
from tests.providers.bank_rows import BankRows
from tests.support.service import close_app, ready_app, settings_for

ROWS, OPEN = 3000, 20
INDEX = "ix_receipts_misfit"
EVIDENCE = {
    "sqlite": rf"USING COVERING INDEX {INDEX} ",
    "mysql": rf"\b{INDEX}\b.*Using index(?! condition)",
    "postgresql": rf"Index Only Scan using {INDEX} ",
}
ANALYSE = {
    "sqlite": "ANALYZE",
    "mysql": "ANALYZE TABLE receipts",
    "postgresql": "VACUUM ANALYZE receipts",
}
EXPLAIN = {
    "sqlite": "EXPLAIN QUERY PLAN",
    "mysql": "EXPLAIN FORMAT=TRADITIONAL",
    "postgresql": "EXPLAIN",
}


@pytest.fixture
def app(any_database_url, tmp_path, clock):
    """A service with many receipts of a real bank, of which few fit no payment."""
    app = ready_app(settings_for(any_database_url, tmp_path), clock)
    tables = Tables(any_database_url)
    account = BankRows(app, clock).account()
    [merchant] = tables.rows(sa.select(ProviderAccount.merchant_id))[0]
    rows = [
        {
            "end_to_end_id": f"E{number:031}",
            "pix_key": "balcao@example.com",
            "merchant_id": merchant,
            "amount_centavos": 100,
            "paid_at": NOON,
            "told_at": NOON,
            "verdict": "accepted",
            "provider_account_id": account,
            "misfit": "already-paid" if number < OPEN else None,
        }
        for number in range(ROWS)
    ]
    tables.insert(Receipt, *rows)
    with tables.engine.connect() as connection:
        connection.exec_driver_sql(ANALYSE[tables.engine.dialect.name])
    yield app
    close_app(app)


def test_money_that_does_not_fit_is_counted_in_the_index_alone(app):
    """Each process counts it every 15 seconds, and an old shop has millions of receipts."""
    statements = []

    def keep(_connection, _cursor, statement, parameters, _context, _many):
        statements.append((statement, parameters))

    with app.app_context(), reading() as work:
        bind = work.session.get_bind()
        sa.event.listen(bind, "before_cursor_execute", keep)
        try:
            assert work.provider_money.open_misfits() == OPEN
        finally:
            sa.event.remove(bind, "before_cursor_execute", keep)
        statement, parameters = next(one for one in statements if "FROM receipts" in one[0])
        name = bind.dialect.name
        connection = work.session.connection()
        rows = connection.exec_driver_sql(f"{EXPLAIN[name]} {statement}", parameters).all()
    plan = "\n".join(" ".join(str(part) for part in row) for row in rows)
    assert re.search(EVIDENCE[name], plan), plan
