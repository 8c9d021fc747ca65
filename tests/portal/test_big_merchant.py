"""A merchant with 100,000 payments: pages, search and export cost no more, on both servers.

The rows are written by bulk statements, and the engine itself says by which index it reads.
"""

from __future__ import annotations

import json
import re
import resource
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from config import parts_of
from db_models import Payment
from repository.database import reading
from repository.paging import Cursor
from repository.payment_list import SEARCH_WINDOW, PaymentFilters
from repository.portal import PortalQueries
from tests.db.tables import NOON, Tables
from tests.portal.signing import make_account, sign_in
from tests.support.seconds import fastest
from tests.support.service import close_app, ready_app, settings_for

ROWS = 100_000
SPREAD_SECONDS = 60 * 86_400
MEMORY_MAX = 40_000_000
"""Bytes by which an export may let the process grow; all of its rows as objects take 400 MB."""

ONLY_MYSQL = ("partitions", "filtered")
"""Columns of MySQL's EXPLAIN that MariaDB does not have."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FILL = {
    "postgresql": """
        INSERT INTO payments (txid, watch_code, merchant_id, amount_centavos, refunded_centavos,
          description, order_id, metadata, br_code, status, created_at, expires_at, resolved_at,
          end_to_end_id, sequence)
        SELECT md5('t' || n), md5('w' || n), {merchant}, 100 + n % 90000, 0,
          'Queijo meia cura ' || n, 'o-' || n, '{{}}', '0002', {status},
          {noon} - n * interval '{step} seconds', {noon} - n * interval '{step} seconds'
          + interval '30 minutes', {noon} - n * interval '{step} seconds' + interval '40 seconds',
          CASE WHEN n % 10 < 7 THEN 'E' || n END, 2
        FROM generate_series({rows}, 1, -1) n""",
    "mysql": """
        INSERT INTO payments (txid, watch_code, merchant_id, amount_centavos, refunded_centavos,
          description, order_id, metadata, br_code, status, created_at, expires_at, resolved_at,
          end_to_end_id, sequence)
        SELECT left(sha2(concat('t', n), 256), 32), left(sha2(concat('w', n), 256), 32),
          {merchant}, 100 + n % 90000, 0,
          concat('Queijo meia cura ', n), concat('o-', n), '{{}}', '0002', {status},
          {noon} - INTERVAL (n * {step}) SECOND, {noon} - INTERVAL (n * {step}) SECOND
          + INTERVAL 30 MINUTE, {noon} - INTERVAL (n * {step}) SECOND + INTERVAL 40 SECOND,
          CASE WHEN n % 10 < 7 THEN concat('E', n) END, 2
        FROM (SELECT {rows} - (a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d) AS n
          FROM digits a, digits b, digits c, digits d, digits e) numbers
        WHERE n > 0 ORDER BY n DESC""",
}


def fill(tables: Tables, merchant: int, rows: int) -> None:
    """Sixty days of payments: seven in ten paid, two expired, one cancelled."""
    dialect = tables.engine.dialect.name
    status = (
        "CASE WHEN n % 10 < 7 THEN 'confirmed' WHEN n % 10 < 9 THEN 'expired' ELSE 'cancelled' END"
    )
    noon = "timestamp '2026-11-20 15:00:00'"
    with tables.engine.connect() as connection:
        if dialect == "mysql":
            connection.exec_driver_sql("CREATE TEMPORARY TABLE IF NOT EXISTS digits (d INT)")
            connection.exec_driver_sql(
                "INSERT INTO digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)"
            )
            # A statement can open a temporary table only once, so it needs five copies.
            for name in "abcde":
                connection.exec_driver_sql(f"CREATE TEMPORARY TABLE digits_{name} LIKE digits")
                copy = f"INSERT INTO digits_{name} SELECT d FROM digits"  # noqa: S608 - a letter
                connection.exec_driver_sql(copy)
        statement = FILL[dialect].format(
            merchant=merchant, status=status, noon=noon, rows=rows, step=SPREAD_SECONDS / rows
        )
        for name in "abcde":
            statement = statement.replace(f"digits {name}", f"digits_{name} {name}")
        connection.exec_driver_sql(statement.replace("%", "%%"))
        connection.exec_driver_sql(
            "ANALYZE TABLE payments" if dialect == "mysql" else "VACUUM ANALYZE payments"
        )


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("mysql", marks=pytest.mark.mysql),
        pytest.param("postgres", marks=pytest.mark.postgres),
    ],
)
def shop(request, databases, tmp_path_factory):
    """An app on a server, Alice with many payments and Charlie with few."""
    from tests.support.clocks import FrozenClock

    clock = FrozenClock()
    with databases.fresh(request.param) as url:
        app = ready_app(settings_for(url, tmp_path_factory.mktemp("big")), clock)
        make_account(app, "alice")
        make_account(app, "charlie")
        tables = Tables(url)
        ids = dict(tables.rows("SELECT login, id FROM accounts"))
        fill(tables, ids["alice"], ROWS)
        app.config["ALICE_ID"] = ids["alice"]
        yield app
        close_app(app)


def plan_of(work, search) -> str:
    """The engine's plan for the last SELECT on payments that `search` sends."""
    return plans_of(work, search)[-1]


def plans_of(work, search) -> list[str]:
    """The engine's plan for each SELECT on payments that `search` sends."""
    bind = work.session.get_bind()
    engine = bind.engine
    statements = []

    def record(_connection, _cursor, statement, parameters, _context, _many):
        statements.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", record)
    try:
        search()
    finally:
        sa.event.remove(engine, "before_cursor_execute", record)
    connection = work.session.connection()
    # By default MySQL 9 prints a tree; MariaDB and MySQL 8 print this table.
    explain = "EXPLAIN FORMAT=TRADITIONAL" if engine.dialect.name == "mysql" else "EXPLAIN"
    plans = []
    for statement, parameters in statements:
        if "payments" in statement:
            rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).mappings()
            lines = [[row[name] for name in row if name not in ONLY_MYSQL] for row in rows]
            plans.append("\n".join(" ".join(str(part) for part in line) for line in lines))
    return plans


def scans(plan: str) -> bool:
    """Whether the plan reads the whole table."""
    whole = r"Seq Scan on payments|\bpayments ALL\b|\bpayments \S+ ALL\b| payments ALL"
    return re.search(whole, plan) is not None


LISTS = {
    "all": PaymentFilters(),
    "one state": PaymentFilters(status="cancelled"),
    "expired": PaymentFilters(status="expired"),
    "days": PaymentFilters(
        created_from=NOON - timedelta(days=40), created_to=NOON - timedelta(days=39)
    ),
    "state and days": PaymentFilters(
        status="confirmed",
        created_from=NOON - timedelta(days=40),
        created_to=NOON - timedelta(days=39),
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_read_along_its_index(shop, name):
    """The first and a later page: never the whole table, never a sort of all of it."""
    with shop.app_context(), reading() as work:
        payments, merchant = work.payments, shop.config["ALICE_ID"]
        head = payments.of_merchant(merchant, LISTS[name], None, 25, work.now)
        deep = Cursor(head.items[-1].txid)
        for cursor in (None, deep, Cursor(deep.id, newer=True)):
            plan = plan_of(
                work,
                lambda cursor=cursor: payments.of_merchant(
                    merchant, LISTS[name], cursor, 25, work.now
                ),
            )
            assert "ix_payments_created" in plan, plan
            assert not scans(plan), plan


@pytest.mark.parametrize(
    "path",
    [
        "/payments/pix",
        "/payments/pix?limit=100&status=confirmed",
        "/payments/pix?status=expired",
        "/payments/pix?from=2026-10-11T00:00:00Z&to=2026-10-12T00:00:00Z",
        "/payments/pix?order_id=o-77777",
        "/api/transactions?state=failed",
        "/api/payment/sessions?status=completed",
    ],
)
def test_programs_read_the_same_list_by_the_same_indexes(shop, path):
    """What a till requests each second must not cost more with each sale."""
    browser = sign_in(shop, "alice")
    with shop.app_context(), reading() as work:
        plans = plans_of(work, lambda: browser.get(path))
    assert plans
    for plan in plans:
        assert not scans(plan), plan


@pytest.mark.parametrize("text", ["nothing", "E77777", "o-77777"])
def test_a_search_by_a_program_takes_its_window_from_the_index(shop, text):
    """Orders and ids use their own index; words are searched in the newest 5,000 payments."""
    browser = sign_in(shop, "alice")
    with shop.app_context(), reading() as work:
        plans = plans_of(work, lambda: browser.get(f"/payments/pix?q={text}"))
    windows = [plan for plan in plans if "ix_payments_created" in plan]
    assert len(windows) >= 2, plans
    for plan in plans:
        # PostgreSQL may scan a small table, if that costs less than 5,000 rows by key.
        assert plan in windows or not scans(plan), plan


def test_a_search_by_a_program_reads_a_window_and_gives_the_next_cursor(shop):
    """`next` continues after the window, with or without matches, to older payments."""
    browser = sign_in(shop, "alice")
    path = "/payments/pix?q=cura+12000"
    pages = [browser.get(path).get_json()]
    while not pages[-1]["data"] and len(pages) < 10:
        pages.append(browser.get(f"{path}&after={pages[-1]['next']}").get_json())
    assert [payment["order_id"] for payment in pages[-1]["data"]] == ["o-12000"]
    assert len(pages) == 3


def test_an_order_is_looked_up_by_its_index(shop):
    """One customer's order among all the shop's."""
    with shop.app_context(), reading() as work:
        merchant, filters = shop.config["ALICE_ID"], PaymentFilters(order_id="o-77777")
        plan = plan_of(
            work,
            lambda: work.payments.of_merchant(merchant, filters, None, 25, work.now),
        )
    assert re.search(r"ix_payments_order|uq_payments_merchant_id_live_order_id", plan), plan
    assert not scans(plan), plan


def test_an_export_by_receipt_is_read_along_the_index_of_takings(shop):
    """Each batch reads its own rows, in the index's order: no sort of a month, no whole table."""
    span = (NOON - timedelta(days=40), NOON - timedelta(days=10))
    with shop.app_context(), reading() as work:
        merchant, cursor = shop.config["ALICE_ID"], None
        for _ in range(2):
            plan = plan_of(
                work,
                lambda cursor=cursor: work.payments.received(merchant, span, cursor, 200),
            )
            assert "ix_payments_takings" in plan, plan
            assert "filesort" not in plan, plan
            assert not scans(plan), plan
            cursor = Cursor(str(work.payments.received(merchant, span, cursor, 200).next))


@pytest.mark.parametrize(
    "filters",
    [
        PaymentFilters(text="nobody"),
        PaymentFilters(status="refunded"),
        PaymentFilters(status="refused"),
        PaymentFilters(created_from=NOON - timedelta(days=40)),
    ],
)
def test_totals_and_rare_states_read_a_window_of_the_index(shop, filters):
    """The window of a search bounds them too, however many payments there are."""
    with shop.app_context(), reading() as work:
        payments, merchant = work.payments, shop.config["ALICE_ID"]
        plan = plan_of(work, lambda: payments.totals(merchant, filters, work.now))
        assert "ix_payments_created" in plan, plan
        totals = payments.totals(merchant, filters, work.now)
        page = payments.of_merchant(merchant, filters, None, 25, work.now)
        seconds = fastest(lambda: payments.of_merchant(merchant, filters, None, 25, work.now))
    assert totals.is_complete is False
    assert totals.count == (SEARCH_WINDOW if filters.created_from else 0)
    assert page.next is not None
    assert seconds < 1.5


def test_sums_and_times_are_read_from_the_index(shop):
    """A day's takings, a day's payments, and how long payers took."""
    day = (NOON - timedelta(hours=12), NOON + timedelta(hours=12))
    with shop.app_context(), reading() as work:
        queries, merchant = PortalQueries(work.session), shop.config["ALICE_ID"]
        searches: dict[str, list[Callable[[], Any]]] = {
            "ix_payments_takings": [
                lambda: queries.takings(merchant, [day]),
                lambda: queries.paid_lately(merchant, day[0], 500),
            ],
            "ix_payments_created": [lambda: queries.created(merchant, day)],
        }
        for index, index_searches in searches.items():
            for search in index_searches:
                plan = plan_of(work, search)
                assert index in plan, plan
                assert not scans(plan), plan


def test_the_figures_are_right(shop):
    """The sums from the index are those of the rows."""
    start, end = NOON - timedelta(days=3), NOON - timedelta(days=2)
    with shop.app_context(), reading() as work:
        queries, merchant = PortalQueries(work.session), shop.config["ALICE_ID"]
        (takings,) = queries.takings(merchant, [(start, end)])
        rows = work.session.execute(
            sa.select(sa.func.count(), sa.func.sum(Payment.amount_centavos)).where(
                Payment.merchant_id == merchant,
                Payment.end_to_end_id.is_not(None),
                Payment.resolved_at >= start,
                Payment.resolved_at < end,
            )
        ).one()
        created, paid, has_free_money, has_paid = queries.created(merchant, (start, end))
    assert (takings.count, takings.centavos) == (int(rows[0]), int(rows[1]))
    assert (has_free_money, has_paid) == (False, True)
    assert abs(created - ROWS / 60) <= 2
    assert abs(paid - ROWS / 60 * 0.7) <= 2


def test_pages_cost_the_same_with_many_and_with_few_payments(shop):
    """Few statements for both, and no page takes the time of a table scan."""
    seconds_by_page = {}
    for login in ("charlie", "alice"):
        browser = sign_in(shop, login)
        counts = {}
        for path in (
            "/portal",
            "/portal/payments",
            "/portal/payments?q=cura+99999",
            "/portal/payments?q=nothing+of+the+kind",
            "/portal/payments?state=cancelled&from=2026-10-01&to=2026-10-02",
        ):
            browser.get(path)
            statements: list[str] = []
            engines = _engines(shop)

            def record(_c, _cursor, statement, _p, _context, _many, rows=statements):
                rows.append(statement)

            for engine in engines:
                sa.event.listen(engine, "before_cursor_execute", record)
            assert browser.get(path).status_code == 200
            for engine in engines:
                sa.event.remove(engine, "before_cursor_execute", record)
            seconds_by_page[login, path] = fastest(partial(browser.get, path))
            counts[path] = len([text for text in statements if "SELECT" in text.upper()])
        assert max(counts.values()) <= 7, counts
    slowest = max(seconds for (login, _), seconds in seconds_by_page.items() if login == "alice")
    assert slowest < 1.5, seconds_by_page


def _engines(app):
    with app.app_context():
        ledger = parts_of(app).ledger
        return {ledger.engine, ledger.reading_engine}


def test_a_search_continues_to_the_oldest_payment(shop):
    """Each page reads 5,000 payments; the next pages find the older ones."""
    browser = sign_in(shop, "alice")
    path: str | None = "/portal/payments?q=cura+12000"
    pages = matches = 0
    while path and pages < 10:
        page = browser.get(path).text
        pages += 1
        matches += page.count('class="row-item"')
        older = re.search(r'rel="next" href="([^"]+)"', page)
        path = older[1].replace("&amp;", "&") if older and not matches else None
    assert matches == 1
    assert pages == 3


def resident_bytes() -> int:
    """The resident memory of this process, in bytes."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def test_an_export_of_all_payments_is_complete_and_bounded_in_memory(shop):
    """100,000 lines, each payment once, and only some batches in memory."""
    browser = sign_in(shop, "alice")
    answer = browser.get("/portal/payments.csv", buffered=False)
    lines, counts, tail, growth_max = 0, bytearray(ROWS), b"", 0
    before = resident_bytes()
    for chunk in cast("Iterable[bytes]", answer.response):
        *whole, tail = (tail + chunk).split(b"\r\n")
        lines += len(whole)
        for line in whole:
            if match := re.search(rb'"o-(\d+)"', line):
                counts[int(match[1]) - 1] += 1
        growth_max = max(growth_max, resident_bytes() - before)
    answer.close()
    assert lines == ROWS + 1
    assert counts == bytearray(b"\x01" * ROWS)
    assert growth_max < MEMORY_MAX, growth_max


@pytest.mark.mysql
def test_other_requests_are_answered_while_an_export_is_written(serve, databases):
    """One process, one hub: other requests run between the batches of 30,000 rows."""
    password = "the password of the demo shop"
    with databases.fresh("mysql") as url:
        service = serve(DATABASE_URL=url, DEMO_PASSWORD=password)
        tables = Tables(url)
        fill(tables, tables.merchant_id(), 30_000)
        body = json.dumps({"username": "demo", "password": password}).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        sign_in = urllib.request.Request(f"{service.url}/api/login", body, headers)
        with urllib.request.urlopen(sign_in, timeout=15) as answer:
            cookies = answer.headers.get_all("Set-Cookie")
        browser = {"Cookie": "; ".join(cookie.split(";")[0] for cookie in cookies)}
        line_counts: list[int] = []

        def download() -> None:
            _, file, _ = service.request("GET", "/portal/payments.csv", headers=browser, timeout=60)
            line_counts.append(file.count(b"\r\n"))

        thread = threading.Thread(target=download)
        started = time.perf_counter()
        thread.start()
        waits = []
        while thread.is_alive():
            began = time.perf_counter()
            assert service.get("/healthz")[0] == 200
            waits.append(time.perf_counter() - began)
            time.sleep(0.01)
        thread.join()
        took = time.perf_counter() - started
    assert line_counts == [30_001]
    assert len(waits) > 10
    waits.sort()
    # Compared with the export's own time, because a slow machine slows both.
    assert waits[int(len(waits) * 0.95)] < took / 20, (took, waits[-10:])
