"""Old data of test halves is deleted, all of it, and no byte of any merchant."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

import db_models as m
from accounts import halves
from config import current_settings
from core.errors import ConcurrentUpdate
from db_models.base import db
from payments.test_data import BATCH, OldDataDeletion
from repository.database import in_unit_of_work, reading
from repository.feed import Feed
from repository.old_test_rows import KINDS, OldTestRows
from tests.db.tables import Tables
from tests.db.whole_half import Half
from tests.http.checks import add_merchant
from tests.support.service import close_app, ready_app, settings_for

DAYS = 90
ROOT = Path(__file__).parents[2]
STAYS = {
    "accounts": "deleted with its merchant",
    "api_keys": "a setting",
    "audit_entries": "AUDIT_DAYS",
    "charge_batch_requests": "waits for its job; its batch is not old until then",
    "feed_counters": "the counter",
    "idempotent_requests": "forgotten after 7 days",
    "logos": "a setting, of merchants alone",
    "oauth_clients": "a setting",
    "outgoing_mails": "names no account; forgotten after some days",
    "provider_accounts": "a setting, with callbacks that may still come",
    "reconciliations": "marks of lists",
    "refused_requests": "forgotten after some days",
    "schema_support": "of the migrations",
    "sign_ins": "nobody signs in to a test half",
    "signing_keys": "of the whole service",
    "tills": "a setting; printed codes name them",
    "webhook_endpoints": "a setting",
}
"""The tables in which the rows of a test half stay, and why."""


@pytest.fixture
def service(any_database_url, tmp_path, clock):
    """The service in production, on a database of each engine."""
    settings = settings_for(
        any_database_url, tmp_path, app_env="production", public_url="https://pay.example.com"
    )
    app = ready_app(settings, clock)
    yield app
    close_app(app)


@pytest.fixture
def tables(service, any_database_url):
    """Its rows."""
    return Tables(any_database_url)


@pytest.fixture
def pair(service, clock, tables):
    """Alice and her test half, whose data is as old as can be."""
    add_merchant(service, "alice", "alice@example.com")
    with service.app_context():
        alice, half = in_unit_of_work(
            lambda work: (
                merchant := work.accounts.by_login("alice"),
                halves.ensure_test_half(work, merchant),
            )
        )
    at = clock.now()
    clock.advance(days=DAYS + 3)
    return Half(tables, alice.id, at), Half(tables, half.id, at)


@pytest.fixture
def run(service):
    """Run the job once; the number of rows."""

    def run_job(keep_going=lambda: True):
        with service.app_context():
            return OldDataDeletion(current_settings()).run(keep_going)

    return run_job


def dump(tables):
    """Each row of each table, as the database has it."""
    with tables.connected() as connection:
        return {
            table.name: sorted(repr(tuple(row)) for row in connection.execute(table.select()))
            for table in db.metadata.sorted_tables
        }


def test_everything_of_the_test_half_goes_and_no_byte_of_its_merchant(pair, tables, run):
    """Both have rows in each table; afterwards it is as if the half had never done anything."""
    live, half = pair
    live.fill()
    before = dump(tables)
    half.fill()
    of_both = dump(tables)
    assert run() > 50
    after = dump(tables)
    deleted = set(after) - set(STAYS)
    empty = {name for name in deleted if not before[name]}
    assert empty == set(), "each table has rows of the merchant, so that a wrong deletion shows"
    assert {name for name in deleted if of_both[name] == before[name]} == set()
    assert {name for name in deleted if after[name] != before[name]} == set()
    assert {name for name in STAYS if after[name] != of_both[name]} == set()
    assert run() == 0


def test_a_wrong_id_touches_no_row_of_a_merchant(pair, tables, run, monkeypatch):
    """Should a rule ever find a merchant's rows: the statements themselves name test halves."""
    live, _ = pair
    live.fill()
    before = dump(tables)
    tables_of_kinds = {
        "payments": m.Payment,
        "receipts": m.Receipt,
        "recurrences": m.Recurrence,
        "batches": m.ChargeBatch,
        "locations": m.Location,
        "recurrence_locations": m.RecurrenceLocation,
    }
    assert set(tables_of_kinds) == set(KINDS)
    for kind, table in tables_of_kinds.items():
        monkeypatch.setitem(KINDS, kind, lambda *_, table=table: sa.select(table.id))
    assert run() == 0
    assert dump(tables) == before


def test_each_table_with_a_reference_is_deleted_or_listed():
    """A new table must not keep a payment from being deleted, nor stay for ever unseen."""
    referring = {
        table.name
        for table in db.metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table.name not in STAYS or key.column.table.name == "accounts"
    }
    all_tables = set(STAYS) | {
        *("charge_attempts", "charge_batch_items", "charge_batches", "charge_revisions"),
        *("feed_entries", "locations", "payment_events", "payment_traces", "payments"),
        *("provider_charges", "provider_hints", "receipts", "recovery_uploads", "recurrences"),
        *("recurrence_changes", "recurrence_locations", "recurrence_requests"),
        *("recurrence_request_changes", "recurring_charges", "recurring_charge_changes"),
        *("refunds", "robot_payments", "signals", "webhook_attempts", "webhook_deliveries"),
    }
    assert referring <= all_tables
    assert {table.name for table in db.metadata.sorted_tables} <= all_tables | {"payer_bank_orders"}


def test_a_day_too_young_stays(pair, tables, run, clock):
    """The end counts, not the creation."""
    _, half = pair
    half.at = clock.now() - timedelta(days=DAYS - 1)
    half.fill()
    before = dump(tables)
    assert run() == 0
    assert dump(tables) == before
    clock.advance(days=4)
    assert run() > 50
    assert dump(tables)["payments"] == []


WAITING = {
    "a pending payment": lambda half: half.payment(status="pending", resolved_at=None),
    "a refund without an answer": lambda half: half.refund(
        half.confirmed()[0],
        status="processing",
        return_id=None,
        settled_at=None,
        ask_at=half.at,
    ),
    "an open charge at a sandbox": lambda half: half.charge(
        half.payment(), half.sandbox(), status="open"
    ),
    "money at a bank that is no sandbox": lambda half: half.confirmed(
        provider_account_id=half.sandbox("live")
    ),
    "an event without a position": lambda half: half.insert(
        m.PaymentEvent,
        payment_id=half.payment(),
        name="payment.expired",
        sequence=2,
        occurred_at=half.at,
        data={},
        unnumbered=True,
    ),
}


@pytest.mark.parametrize("case", WAITING)
def test_what_still_waits_stays(pair, tables, run, case):
    """It is deleted when it has its end."""
    _, half = pair
    WAITING[case](half)
    before = dump(tables)
    assert run() == 0
    assert dump(tables) == before


def test_a_delivery_that_is_being_sent_stays_until_its_lease_ends(pair, tables, run, clock):
    """The process that sends it stores its attempt afterwards."""
    _, half = pair
    payment, endpoint = half.payment(), half.endpoint()
    half.event("payment.expired", payment_id=payment)
    (position,) = tables.rows(sa.select(m.FeedEntry.position))[0]
    due_at = clock.now() + timedelta(seconds=60)
    values = {"status": "pending", "ended_at": None, "due_at": due_at, "lease": "a" * 32}
    half.delivery(endpoint, feed_position=position, **values)
    assert run() == 0
    clock.advance(seconds=61)
    assert run() == 5
    assert dump(tables)["webhook_deliveries"] == []


def test_a_run_that_stops_goes_on_where_it_ended(pair, tables, run):
    """Each batch is a transaction, so a kill between two leaves whole payments."""
    _, half = pair
    for _ in range(BATCH + 5):
        half.payment()
    answers = iter([True, True, True])
    assert run(lambda: next(answers, False)) == BATCH
    assert len(dump(tables)["payments"]) == 5
    assert run() == 5
    assert dump(tables)["payments"] == []


def test_an_event_with_many_deliveries_is_deleted_in_parts(pair, tables, run, monkeypatch):
    """A shop that asks for one event again and again must not make one huge transaction."""
    monkeypatch.setattr("repository.old_test_rows.DELIVERIES_MAX", 3)
    _, half = pair
    endpoint = half.endpoint()
    half.event("payment.expired", payment_id=half.payment())
    (position,) = tables.rows(sa.select(m.FeedEntry.position))[0]
    for _ in range(8):
        half.delivery(endpoint, feed_position=position, kind="redelivery")
    assert run() == 3 + 16
    assert dump(tables)["webhook_attempts"] == []


def test_a_reader_that_stopped_at_a_deleted_event_goes_on(service, pair, tables, run, clock):
    """Also where the newest event was deleted; another merchant's cursor is refused as before."""
    live, half = pair
    for one in pair:
        one.event("payment.expired", payment_id=one.payment())
    ids = dict(tables.rows(sa.select(m.FeedEntry.merchant_id, m.FeedEntry.public_id)))
    assert run() == 3
    with service.app_context(), reading() as work:
        feed = Feed(work)
        assert feed.position_of(half.account_id, ids[half.account_id]) == 0
        assert feed.last(half.account_id) == (None, 0)
        assert feed.position_of(live.account_id, ids[live.account_id]) > 0
        with pytest.raises(Exception, match="cursor"):
            feed.position_of(live.account_id, ids[half.account_id])
    half.at = clock.now()
    half.event("payment.expired", payment_id=half.payment())
    with service.app_context(), reading() as work:
        page = Feed(work).after(half.account_id, 0, 10)
    assert [event.type for event in page.items] == ["payment.expired"]


def open_refund(half, payment):
    """The row of a refund without an answer."""
    return {
        "payment_id": payment,
        "refund_id": "late",
        "bank_refund_id": "f" * 32,
        "amount_centavos": 1,
        "is_rest": False,
        "status": "processing",
        "requested_at": half.at,
        "ask_at": half.at,
        "attempts": 0,
    }


def count(tables, half):
    """How many payments the half has."""
    query = sa.select(sa.func.count(m.Payment.id)).where(m.Payment.merchant_id == half.account_id)
    return tables.rows(query)[0][0]


def test_a_row_that_is_stored_before_the_lock_keeps_its_payment(pair, tables, run):
    """The deletion waits for the other transaction, and reads its rows before it deletes any."""
    _, half = pair
    payment, _ = half.confirmed()
    before = dump(tables)
    engine = sa.create_engine(tables.engine.url, poolclass=sa.NullPool)
    with engine.connect() as other:
        other.execute(sa.insert(m.Refund.__table__), [open_refund(half, payment)])
        with ThreadPoolExecutor(1) as pool:
            deletion = pool.submit(run)
            time.sleep(0.5)
            assert not deletion.done()
            other.commit()
            assert deletion.result() == 0
    after = dump(tables)
    assert len(after.pop("refunds")) == 1
    assert {name: before[name] for name in after} == after


def test_a_row_that_comes_too_late_is_a_conflict(pair, service, run, monkeypatch):
    """Its writer repeats its work, and reads that the payment is gone; it gets no error 500."""
    _, half = pair
    payment, _ = half.confirmed()

    def store():
        with service.app_context():
            in_unit_of_work(
                lambda work: work.session.execute(
                    sa.insert(m.Refund.__table__), [open_refund(half, payment)]
                )
            )

    forget = OldTestRows._forget_links
    with ThreadPoolExecutor(1) as pool:
        late = []

        def forget_links(rows, ids):
            late.append(pool.submit(store))
            time.sleep(0.3)
            forget(rows, ids)

        monkeypatch.setattr(OldTestRows, "_forget_links", forget_links)
        assert run() > 0
        with pytest.raises(ConcurrentUpdate):
            late[0].result()


def test_a_refused_deletion_leaves_the_batch_as_it_was(pair, tables, run, monkeypatch):
    """A row that stays refers to the payment; the next kind of rows is deleted all the same."""
    _, half = pair
    payment, _ = half.confirmed()
    half.receipt(None)
    before = dump(tables)
    event = {
        "payment_id": payment,
        "name": "payment.expired",
        "sequence": 1,
        "occurred_at": half.at,
        "data": {"state": {}},
    }
    forget = OldTestRows._forget_links

    def forget_links(rows, ids):
        rows._session.execute(sa.insert(m.PaymentEvent.__table__), [event])
        forget(rows, ids)

    monkeypatch.setattr(OldTestRows, "_forget_links", forget_links)
    assert run() == 1
    after = dump(tables)
    assert len(before.pop("receipts")) == len(after.pop("receipts")) + 1
    assert before == after


KILLED = """
import sys, time
from pathlib import Path
from app import create_app
from payments import test_data
from repository.old_test_rows import OldTestRows
from tests.support.service import settings_for

test_data.BATCH = 5
forget = OldTestRows._forget_links
def slowly(self, rows):
    forget(self, rows)
    time.sleep(0.1)
OldTestRows._forget_links = slowly
settings = settings_for(
    sys.argv[1], Path(sys.argv[2]), app_env="production", public_url="https://pay.example.com"
)
with create_app(settings).app_context():
    test_data.OldDataDeletion(settings).run(lambda: True)
"""


def test_a_kill_leaves_whole_payments_and_the_next_run_ends(
    pair, tables, run, any_database_url, tmp_path
):
    """A process is killed within a transaction, three times."""
    live, half = pair
    for one in pair:
        one.at = datetime.now(UTC) - timedelta(days=400)
        for _ in range(60):
            one.confirmed()
    of_merchant = sa.select(m.Payment.txid).where(m.Payment.merchant_id == live.account_id)
    before = tables.rows(of_merchant)
    left = 60
    for _ in range(3):
        command = [sys.executable, "-c", KILLED, any_database_url, str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT) as process:
            limit = time.monotonic() + 60
            while (now_left := count(tables, half)) == left:
                assert time.monotonic() < limit
                time.sleep(0.02)
            process.kill()
        left = now_left
        assert left > 0
        assert len(dump(tables)["receipts"]) == count(tables, half) + 60
    assert run() > 0
    assert count(tables, half) == 0
    assert tables.rows(of_merchant) == before
    assert len(dump(tables)["receipts"]) == 60
