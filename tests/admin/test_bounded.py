"""With 100,000 of everything the pages ask as little as with nothing, and along indexes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from config import parts_of
from repository.admin import AdminQueries, AuditSearch
from repository.database import reading
from tests.db.tables import NOON, Tables
from tests.portal.signing import make_account, sign_in
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
    """Payments, receipts, events, audit entries and payers: 100,000 of each, none of them odd."""
    is_sqlite = tables.engine.dialect.name == "sqlite"
    number = "'p-' || substr('00000' || n, -6)" if is_sqlite else "concat('p-', lpad(n, 6, '0'))"
    words = {"number": number, "numbers": NUMBERS, "before": BEFORE}
    for statement in FILL:
        text = statement.format(merchant=tables.merchant_id(), **words)
        tables.change(sa.text(text.replace(":", r"\:")))


def plans(work, search) -> str:
    """How the engine answers what `search` sends."""
    engine = work.session.get_bind().engine
    sent = []

    def keep(_connection, _cursor, statement, parameters, _context, _many):
        sent.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", keep)
    try:
        search()
    finally:
        sa.event.remove(engine, "before_cursor_execute", keep)
    assert sent
    # MySQL 9 tells a tree by itself, MariaDB and MySQL 8 this table, MySQL with two columns more.
    explain = (
        "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN FORMAT=TRADITIONAL"
    )
    connection = work.session.connection()
    return "\n".join(
        " ".join(str(row[name]) for name in row if name not in ("partitions", "filtered"))
        for statement, parameters in sent
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
    """SQLite says SCAN where it reads all of a table, and SEARCH where it goes by an index.

    Walking a primary key or an index from its end is called a scan as well: those end with a page.
    """
    with service.app_context(), reading() as work:
        for name, search in searches(work).items():
            plan = plans(work, search)
            scanned = re.findall(r"SCAN (payments|receipts|payment_events|refunds)\b.*", plan)
            assert scanned == [], (name, plan)
            assert "SEARCH" in plan or "SCAN audit_entries" in plan or name in WALKS, (name, plan)


WALKS = {"accounts", "signals"}
"""Which walk an index from its end, for a page."""


def test_each_page_comes_at_once_and_with_the_same_statements(service, counted_of):
    """Also where nothing is found: that is when a search without an index reads it all."""
    root = sign_in(service, "root")
    for path in PATHS:
        root.get(path)
        with counted_of(service) as statements:
            began = time.perf_counter()
            assert root.get(path).status_code == 200
            took = time.perf_counter() - began
        assert len(statements) <= 14, (path, statements)
        assert took < SECONDS_MAX, (path, took)


@pytest.fixture
def counted_of():
    """Count the statements of an app that is not this test's own."""
    from contextlib import contextmanager

    from tests.portal.conftest import NOT_COUNTED

    @contextmanager
    def listening(app):
        statements = []

        def hear(_connection, _cursor, statement, _parameters, _context, _many):
            if not statement.lstrip().upper().startswith(NOT_COUNTED):
                statements.append(statement)

        kept = parts_of(app).ledger
        engines = {kept.engine, kept.reading_engine}
        for engine in engines:
            sa.event.listen(engine, "before_cursor_execute", hear)
        try:
            yield statements
        finally:
            for engine in engines:
                sa.event.remove(engine, "before_cursor_execute", hear)

    return listening


@pytest.mark.mysql
def test_the_heaviest_queries_go_by_an_index_on_the_server(databases, tmp_path, clock):
    """The last receipts by primary key, an account's deeds by its index: far from all the rows."""
    with databases.fresh("mysql") as url:
        app = ready_app(settings_for(url, tmp_path), clock)
        make_account(app, "root", "admin")
        tables = Tables(url)
        fill(tables)
        for table in ("payments", "receipts", "payment_events", "accounts", "audit_entries"):
            tables.rows(f"ANALYZE TABLE {table}")
        wanted = {
            "refused": r"receipts range PRIMARY",
            "both": r"audit_entries (ref|range) .*ix_audit_entries_account",
            "of day and action": r"audit_entries range .*ix_audit_entries_occurred",
            "of action": r"audit_entries (ref|range) .*ix_audit_entries_action",
            "unannounced": r"payment_events range .*ix_payment_events_relay",
            "prefix": r"accounts range .*uq_accounts_login",
        }
        try:
            with app.app_context(), reading() as work:
                asked = searches(work)
                for name, index in wanted.items():
                    plan = plans(work, asked[name])
                    assert re.search(index, plan), (name, plan)
                    assert " ALL " not in re.sub(r"<derived\d> ALL", "", plan), (name, plan)
                for name, search in asked.items():
                    began = time.perf_counter()
                    search()
                    assert time.perf_counter() - began < SECONDS_MAX, name
        finally:
            close_app(app)
