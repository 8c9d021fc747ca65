"""With 100,000 rows in each table the pages need no more statements, and use indexes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from config import parts_of
from repository.admin import WINDOW_ROWS, AdminQueries, AuditSearch
from repository.database import reading
from tests.db.tables import NOON, Tables
from tests.portal.signing import make_account, sign_in
from tests.support.seconds import fastest
from tests.support.service import close_app, ready_app, settings_for

ROWS = 100_000
PATHS = [
    "/admin",
    "/admin/accounts",
    "/admin/accounts?role=payer",
    "/admin/accounts?q=p-0999",
    "/admin/audit",
    "/admin/audit?action=rare",
    "/admin/audit?login=root&action=rare",
    "/admin/audit?from=2026-10-21&to=2026-10-21",
    "/admin/audit?login=root&action=rare&from=2026-10-21",
]
SECONDS_MAX = 1.0
ROWS_READ_MAX = 3 * WINDOW_ROWS + 1000
"""Of one query on MySQL: a window is read, joined, and its end looked for."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DIGITS = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
NUMBERS = (
    "(SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d AS n"
    " FROM (@) a, (@) b, (@) c, (@) e, (@) f) x"
).replace("@", DIGITS)
BEFORE = f"'{NOON - timedelta(days=30):%Y-%m-%d %H:%M:%S}.000000'"
FILL = (
    """INSERT INTO payments (txid, watch_code, merchant_id, amount_centavos, refunded_centavos,
      metadata, br_code, status, created_at, expires_at, resolved_at, end_to_end_id, sequence)
    SELECT {number}, {number}, {merchant}, 100, 0, '{{}}', '0002', 'confirmed', {before},
      '2026-11-21 00:00:00', {before}, {number}, 2 FROM {numbers}""",
    """INSERT INTO receipts (end_to_end_id, bank_payment_id, merchant_id, payment_id,
      amount_centavos, paid_at, told_at, verdict)
    SELECT p.end_to_end_id, 'x', p.merchant_id, p.id, 100, {before}, {before}, 'accepted'
    FROM payments p""",
    """INSERT INTO payment_events (payment_id, name, sequence, occurred_at, data)
    SELECT id, 'payment.confirmed', 2, {before}, '{{}}' FROM payments""",
    """INSERT INTO accounts (public_id, login, role, name, city, grace_seconds, created_at)
    SELECT {number}, {number}, 'payer', 'Somebody', 'Recife', 0, {before} FROM {numbers}""",
    """INSERT INTO audit_entries (public_id, account_id, action, subject, details, address,
      request_id, occurred_at)
    SELECT {number}, a.id, 'session.started', '', '{{}}', '', '', {before}
    FROM {numbers}, accounts a WHERE a.login = 'root'""",
)


def fill(tables: Tables) -> None:
    """Payments, receipts, events, audit entries and payers: 100,000 of each, all ordinary."""
    is_sqlite = tables.engine.dialect.name == "sqlite"
    number = "'p-' || substr('00000' || n, -6)" if is_sqlite else "concat('p-', lpad(n, 6, '0'))"
    words = {"number": number, "numbers": NUMBERS, "before": BEFORE}
    for statement in FILL:
        text = statement.format(merchant=tables.merchant_id(), **words)
        tables.change(sa.text(text.replace(":", r"\:")))


def plans(work, search) -> str:
    """The engine's plans for the statements of `search`."""
    engine = work.session.get_bind().engine
    statements = []

    def record(_connection, _cursor, statement, parameters, _context, _many):
        statements.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", record)
    try:
        search()
    finally:
        sa.event.remove(engine, "before_cursor_execute", record)
    assert statements
    # By default MySQL 9 prints a tree; MariaDB and MySQL 8 print this table.
    explain = (
        "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN FORMAT=TRADITIONAL"
    )
    connection = work.session.connection()
    return "\n".join(
        " ".join(str(row[name]) for name in row if name not in ("partitions", "filtered"))
        for statement, parameters in statements
        for row in connection.exec_driver_sql(f"{explain} {statement}", parameters).mappings()
    )


def searches(work) -> dict[str, Callable[[], object]]:
    """Every query of the pages, by name."""
    queries = AdminQueries(work.session)
    root = work.accounts.by_login("root")
    day = (NOON - timedelta(days=30, hours=1), NOON - timedelta(days=29))
    return {
        "unannounced": queries.unannounced_events,
        "overdue": lambda: queries.overdue_payments(work.now),
        "most overdue": lambda: queries.most_overdue(work.now),
        "refunds": lambda: queries.slow_refunds(work.now),
        "look-ups": lambda: queries.late_look_ups(work.now),
        "refused": lambda: queries.refused_receipts(20),
        "signals": lambda: work.signals.newest(20),
        "accounts": lambda: queries.accounts(None, None, None, 26),
        "payers": lambda: queries.accounts("payer", None, None, 26),
        "prefix": lambda: queries.accounts(None, "p-0999", None, 26),
        "deeds": lambda: queries.audit(AuditSearch(), None, 50),
        "of action": lambda: queries.audit(AuditSearch(action="rare"), None, 50),
        "of account": lambda: queries.audit(AuditSearch(account_id=root.id), None, 50),
        "both": lambda: queries.audit(AuditSearch(account_id=root.id, action="rare"), None, 50),
        "of day": lambda: queries.audit(AuditSearch(None, None, *day), None, 50),
        "of day and action": lambda: queries.audit(AuditSearch(None, "rare", *day), None, 50),
        "about": lambda: queries.audit_about(root, ("account.disabled",), 30),
        "actions": queries.recent_actions,
    }


@pytest.fixture(scope="module")
def service(databases, tmp_path_factory):
    """The service on SQLite, full of rows."""
    from tests.support.clocks import FrozenClock

    with databases.fresh("sqlite") as url:
        app = ready_app(settings_for(url, tmp_path_factory.mktemp("big")), FrozenClock())
        make_account(app, "root", "admin")
        fill(Tables(url))
        yield app
        close_app(app)


def test_no_query_reads_a_whole_table(service):
    """SQLite says SCAN if it reads a whole table, and SEARCH if it uses an index.

    It also says SCAN for reading a key or an index in order, which stops after one page.
    """
    with service.app_context(), reading() as work:
        for name, search in searches(work).items():
            plan = plans(work, search)
            scans = re.findall(r"SCAN (payments|receipts|payment_events|refunds)\b.*", plan)
            assert scans == [], (name, plan)
            assert "SEARCH" in plan or "SCAN audit_entries" in plan or name in ORDERED_READS, (
                name,
                plan,
            )


def rows_read(session) -> int:
    """How many rows this connection to MySQL has read so far."""
    counts = session.connection().exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'")
    return sum(int(count) for _, count in counts)


ORDERED_READS = {"accounts", "signals"}
"""Queries that read one page of an index in order."""


def test_each_page_is_fast_and_needs_few_statements(service, count_statements_of):
    """Also without a match, when a search without an index would read the whole table."""
    root = sign_in(service, "root")
    for path in PATHS:
        root.get(path)
        with count_statements_of(service) as statements:
            assert root.get(path).status_code == 200
        assert len(statements) <= 14, (path, statements)
        assert fastest(partial(root.get, path)) < SECONDS_MAX, path


@pytest.fixture
def count_statements_of():
    """Count the statements of an app that is not this test's own."""
    from contextlib import contextmanager

    from tests.portal.conftest import NOT_COUNTED

    @contextmanager
    def record_statements(app):
        statements = []

        def append(_connection, _cursor, statement, _parameters, _context, _many):
            if not statement.lstrip().upper().startswith(NOT_COUNTED):
                statements.append(statement)

        ledger = parts_of(app).ledger
        engines = {ledger.engine, ledger.reading_engine}
        for engine in engines:
            sa.event.listen(engine, "before_cursor_execute", append)
        try:
            yield statements
        finally:
            for engine in engines:
                sa.event.remove(engine, "before_cursor_execute", append)

    return record_statements


@pytest.mark.mysql
def test_the_heaviest_queries_use_an_index_on_mysql(databases, tmp_path, clock):
    """None of these queries reads a whole table."""
    with databases.fresh("mysql") as url:
        app = ready_app(settings_for(url, tmp_path), clock)
        make_account(app, "root", "admin")
        tables = Tables(url)
        fill(tables)
        for table in ("payments", "receipts", "payment_events", "accounts", "audit_entries"):
            tables.rows(f"ANALYZE TABLE {table}")
        indexes = {
            "refused": r"receipts range PRIMARY",
            "both": r"audit_entries (ref|range) .*ix_audit_entries_account",
            "of day and action": r"audit_entries range .*ix_audit_entries_occurred",
            "of action": r"audit_entries (ref|range) .*ix_audit_entries_action",
            "unannounced": r"payment_events range .*ix_payment_events_relay",
            "prefix": r"accounts range .*uq_accounts_login",
        }
        try:
            with app.app_context(), reading() as work:
                queries = searches(work)
                for name, index in indexes.items():
                    plan = plans(work, queries[name])
                    assert re.search(index, plan), (name, plan)
                    assert " ALL " not in re.sub(r"<derived\d> ALL", "", plan), (name, plan)
                for name, search in queries.items():
                    before = rows_read(work.session)
                    search()
                    rows = rows_read(work.session) - before
                    assert 0 < rows <= ROWS_READ_MAX, (name, rows)
        finally:
            close_app(app)
