"""`flask seed`: a month of sales, so that the portal's first screen is alive."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import timedelta

import pytest
import sqlalchemy as sa

from config import parts_of
from payments import refunds
from payments.demo_month import DAYS, FATES, plan_month
from payments.lifecycle import LOOK_UP_PAUSE_MAX
from payments.sweep import expire_batch
from repository.database import reading
from tests.db.tables import NOON, Tables
from tests.support.clocks import FrozenClock
from tests.support.service import close_app, ready_app, settings_for
from tests.support.templates import copy_sqlite

TABLES = ("payments", "receipts", "refunds", "payment_events", "audit_entries")


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    """A database file after one run: the month is played once, and each test gets a copy."""
    folder = tmp_path_factory.mktemp("month")
    file = folder / "balcao.sqlite"
    copy_sqlite(file)
    app = ready_app(settings_for(f"sqlite:///{file}", folder), FrozenClock())
    result = seed(app)
    close_app(app)
    assert result.exit_code == 0, result.output
    return file


@pytest.fixture
def settings(month, tmp_path):
    """Settings on a copy of that database."""
    shutil.copyfile(month, tmp_path / "balcao.sqlite")
    return settings_for(f"sqlite:///{tmp_path / 'balcao.sqlite'}", tmp_path)


@pytest.fixture
def tables(app, settings):
    """The rows of the copy."""
    return Tables(settings.database_url)


def seed(app, *options):
    """Run the command."""
    return app.test_cli_runner().invoke(args=["seed", *options])


def test_the_books_of_the_month_are_equal(tables):
    """A demo whose sums differ would teach nobody to trust the service."""
    rows = dict(tables.rows("SELECT status, COUNT(*) FROM payments GROUP BY status"))
    assert set(rows) == {"pending", "confirmed", "expired", "cancelled"}
    assert rows["pending"] == 3
    assert sum(rows.values()) > 400
    paid = tables.rows("SELECT SUM(amount_centavos) FROM payments WHERE status = 'confirmed'")
    accepted = "SELECT SUM(amount_centavos) FROM receipts WHERE verdict = 'accepted' AND payment_id"
    assert tables.rows(f"{accepted} IS NOT NULL") == paid
    assert tables.rows(f"{accepted} IS NULL")[0][0] > 0
    refused = tables.rows("SELECT DISTINCT reason FROM receipts WHERE verdict = 'refused'")
    assert {reason for (reason,) in refused} == {"already-paid", "amount-mismatch", "paid-too-late"}
    refunded = tables.rows("SELECT SUM(amount_centavos) FROM refunds WHERE status = 'done'")
    assert tables.rows("SELECT SUM(refunded_centavos) FROM payments") == refunded
    whole = "SELECT COUNT(*) FROM payments WHERE refunded_centavos"
    assert tables.rows(f"{whole} = amount_centavos")[0][0] > 0
    assert tables.rows(f"{whole} > 0 AND refunded_centavos < amount_centavos")[0][0] > 0
    assert tables.rows("SELECT SUM(refunding_centavos) FROM payments")[0][0] == 0


def test_each_payment_has_the_events_of_its_status_in_order(tables):
    """The timeline of the portal and the relay read the events."""
    stories = Counter(
        (status, names)
        for status, names in tables.rows(
            "SELECT status, (SELECT GROUP_CONCAT(name, ' ') FROM (SELECT name FROM payment_events"
            " WHERE payment_id = payments.id ORDER BY sequence, id)) FROM payments"
        )
    )
    assert all(names.startswith("payment.created") for _, names in stories)
    assert stories["expired", "payment.created payment.expired"] > 10
    assert stories["confirmed", "payment.created payment.confirmed"] > 200
    assert stories["confirmed", "payment.created payment.confirmed payment.refunded"] > 5
    order = "SELECT occurred_at FROM payment_events ORDER BY id"
    times = [at for (at,) in tables.rows(order)]
    assert times == sorted(times)


def test_nothing_of_the_month_waits_for_a_job(app, client, tables, clock):
    """The service would announce a thousand old events, or ask a bank that knows none of them."""
    with app.app_context():
        clock.advance(minutes=1)
        assert parts_of(app).announcer.relay() == 0
        assert (expire_batch(10), refunds.run()) == ((0, 0), 0)
        with reading() as work:
            due_look_ups = work.reconciliations.due_look_ups(work.now, LOOK_UP_PAUSE_MAX, 50)
            assert len(due_look_ups) == 3
    assert client.get("/readyz").status_code == 200


def test_a_second_run_adds_nothing(app, tables):
    """`make seed` may be run again without thinking."""

    def counts():
        return [
            tables.rows(sa.select(sa.func.count()).select_from(sa.table(name))) for name in TABLES
        ]

    before = counts()
    again = seed(app)
    assert (again.exit_code, "there already" in again.output) == (0, True)
    assert counts() == before
    assert seed(app, "--seed", "2").exit_code == 0
    assert counts() != before


def test_open_payments_are_made_anew_when_they_can_no_longer_be_paid(app, tables, clock):
    """Their links are what a developer tries first."""
    clock.advance(hours=1)
    output = seed(app).output
    assert output.count("/payments/pix/") == 3
    statuses = "SELECT status, COUNT(*) FROM payments WHERE order_id LIKE '1-aberto-%' GROUP BY 1"
    assert dict(tables.rows(statuses)) == {"expired": 3, "pending": 3}


def test_a_seed_gives_the_same_sales_in_the_hours_of_a_shop():
    """Two developers see the same screen."""
    sales = plan_month(1, NOON)
    assert sales == plan_month(1, NOON)
    assert sales != plan_month(2, NOON)
    assert {sale.fate for sale in sales} == set(FATES)
    assert {sale.at.hour for sale in sales} == set(range(8, 20))
    assert len({sale.at.date() for sale in sales}) == DAYS
    assert max(sale.at for sale in sales) < NOON - timedelta(minutes=30)
