"""The sweep stores each expiry once, and never before the deadline."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.clock import rfc3339
from db_models import Payment
from payments import sweep as sweeping
from payments.lifecycle import sequence_at, status_at
from payments.sweep import Sweep
from repository.database import ledger
from tests.db.tables import NOON, payment_row

GRACE = timedelta(seconds=10)


def due_rows(processes, count):
    """Insert payments that are due in a second; return their txids."""
    merchant = processes.tables.merchant_id()
    rows = [payment_row(merchant, expires_at=NOON + timedelta(seconds=1)) for _ in range(count)]
    processes.tables.insert(Payment, *rows)
    return [row["txid"] for row in rows]


def status_counts(processes):
    """The number of payments by stored status."""
    query = sa.select(Payment.status, sa.func.count()).group_by(Payment.status)
    return {row[0]: row[1] for row in processes.tables.rows(query)}


def test_the_clock_expires_a_payment_and_the_sweep_stores_it(processes):
    """A reader sees `expired` at once; the sweep only adds the stored status and the event."""
    payment = processes.create(expires_in=10)
    processes.clock.advance(seconds=10)
    assert processes.status(payment["id"])["status"] == "pending"
    assert processes.sweep() == 0
    processes.clock.advance(microseconds=1)
    before = processes.status(payment["id"])
    assert (before["status"], before["sequence"], before["remaining_ms"]) == ("expired", 2, 0)
    assert processes.tables.payment(payment["id"]).status == "pending"
    processes.clock.advance(seconds=1)
    assert processes.sweep() == 1
    after = processes.status(payment["id"])
    assert {**after, "checked_at": 0} == {**before, "checked_at": 0}
    row = processes.tables.payment(payment["id"])
    assert (row.status, row.resolved_at) == ("expired", NOON + timedelta(seconds=10))


def test_an_expiry_is_recorded_once_however_often_the_sweep_runs(processes):
    """One event per expiry: a page that hears two would be drawn twice, a webhook sent twice."""
    payment = processes.create(expires_in=10)
    processes.clock.advance(seconds=11)
    assert [processes.sweep(n) for n in range(4)] == [1, 0, 0, 0]
    events = processes.tables.events(payment["id"])
    assert [(event.name, event.sequence) for event in events] == [
        ("payment.created", 1),
        ("payment.expired", 2),
    ]
    assert events[1].occurred_at == processes.clock.now()
    assert events[1].data["status"] == "expired"


def test_a_run_works_in_batches_and_leaves_the_rest_to_the_next(processes, monkeypatch):
    """A backlog of hours must not hold the database, or the process, for one long transaction."""
    monkeypatch.setattr(sweeping, "BATCH", 10)
    monkeypatch.setattr(sweeping, "BATCHES_MAX", 3)
    due_rows(processes, 45)
    processes.clock.advance(minutes=1)
    assert [processes.sweep() for _ in range(3)] == [30, 15, 0]
    assert status_counts(processes) == {"expired": 45}


def test_a_stop_takes_effect_between_batches(processes, monkeypatch):
    """Ctrl-C during a backlog: the current batch is committed, and no further batch begins."""
    monkeypatch.setattr(sweeping, "BATCH", 10)
    due_rows(processes, 45)
    now = processes.clock.advance(minutes=1)
    with processes.app().app_context():
        assert Sweep.starting_at(now, timedelta(0)).run(lambda: False) == 10
    assert status_counts(processes) == {"expired": 10, "pending": 35}


def test_after_a_start_the_sweep_waits_its_grace(processes):
    """The service was down: the bank's queued notifications must come before the expiry."""
    in_time = processes.create(expires_in=10)
    unpaid = processes.create(expires_in=10)
    body = processes.bank().body(in_time)
    started = processes.clock.advance(hours=1)
    sweep = Sweep.starting_at(started, GRACE)
    with processes.app().app_context():
        assert sweep.run() == 0
    processes.clock.advance(seconds=9, milliseconds=999)
    with processes.app().app_context():
        assert sweep.run() == 0
    assert processes.bank().tell(body).status_code == 200
    processes.clock.advance(milliseconds=1)
    with processes.app().app_context():
        assert sweep.run() == 1
    assert processes.tables.event_names(in_time["id"]) == ["payment.created", "payment.confirmed"]
    assert processes.tables.event_names(unpaid["id"]) == ["payment.created", "payment.expired"]


def test_the_grace_of_the_sweep_does_not_grow_when_the_clock_is_set_back(app, clock, make_payment):
    """Its end is a time in memory: for ten minutes the sweep would expire nothing."""
    sweep = Sweep.starting_at(clock.now(), GRACE)
    with app.app_context():
        ledger().lost_at = clock.now()
        clock.advance(minutes=-10)
        for part in (sweep, ledger()):
            part.move(timedelta(minutes=-10))
        make_payment(expires_in=10)
        clock.advance(seconds=11)
        assert sweep.run() == 1


@pytest.mark.parametrize("noticed_by", ["the sweep", "the bank"])
def test_after_a_lost_database_the_sweep_waits_its_grace_again(
    app, settings, clock, client, bank, make_payment, noticed_by
):
    """The bank got 503 and retries: its confirmation comes before the sweep."""
    payment = make_payment(expires_in=10)
    body = bank.body(payment)
    sweep = Sweep.starting_at(clock.now(), GRACE)
    clock.advance(minutes=1)
    path = Path(sa.make_url(settings.database_url).database or "")
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()
        away = path.rename(path.with_suffix(".away"))
        path.mkdir()
        if noticed_by == "the sweep":
            assert sweep.run() == 0
        else:
            answer = bank.tell(body)
            assert (answer.status_code, answer.json["code"]) == (503, "service-unavailable")
            assert int(answer.headers["Retry-After"]) > 0
        path.rmdir()
        away.rename(path)
        clock.advance(seconds=9, milliseconds=999)
        assert sweep.run() == 0
        assert bank.tell(body).json["duplicate"] is False
        clock.advance(milliseconds=1)
        assert sweep.run() == 0
    assert client.get(f"/payments/pix/{payment['id']}/status").json["status"] == "confirmed"


def test_a_sweep_that_lost_its_database_goes_on_after_the_grace(app, settings, clock, make_payment):
    """The grace is a pause, not an end."""
    make_payment(expires_in=10)
    sweep = Sweep.starting_at(clock.now(), GRACE)
    clock.advance(minutes=1)
    path = Path(sa.make_url(settings.database_url).database or "")
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()
        away = path.rename(path.with_suffix(".away"))
        path.mkdir()
        assert sweep.run() == 0
        path.rmdir()
        away.rename(path)
        clock.advance(seconds=10)
        assert sweep.run() == 1


def test_a_late_notice_of_money_sent_in_time_confirms_after_the_stored_expiry(processes):
    """A late notice is not a late payment: it replaces the expiry, and both events are stored."""
    payment = processes.create(expires_in=10, order_id="order-1")
    body = processes.bank().body(payment, paid_at=rfc3339(NOON + timedelta(seconds=10)))
    processes.clock.advance(hours=5)
    processes.sweep()
    answer = processes.bank().tell(body)
    assert (answer.status_code, answer.json["payment"]["status"]) == (200, "confirmed")
    assert processes.tables.event_names(payment["id"]) == [
        "payment.created",
        "payment.expired",
        "payment.confirmed",
    ]
    assert processes.sweep() == 0
    row = processes.tables.payment(payment["id"])
    assert (row.status, row.resolved_at) == ("confirmed", processes.clock.now())


@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize("ends", ["told late", "paid late", "renewed", "only swept"])
def test_the_sequence_never_goes_back_for_readers_and_listeners(processes, swept, ends):
    """A page ignores events that are not newer, so a repeated number would be overlooked."""
    payment = processes.create(expires_in=10, order_id="order-1")
    txid, in_time = payment["id"], rfc3339(processes.clock.now())
    states = [(payment["sequence"], payment["status"])]

    def read():
        row = processes.tables.payment(txid)
        now = processes.clock.now()
        poll = processes.status(txid)
        assert (poll["sequence"], poll["status"]) == (sequence_at(row, now), status_at(row, now))
        states.append((poll["sequence"], poll["status"]))

    read()
    processes.clock.advance(seconds=11)
    read()
    if swept:
        processes.sweep()
        read()
    if ends == "told late":
        assert processes.bank().confirm(payment, paid_at=in_time).status_code == 200
    elif ends == "paid late":
        assert processes.bank().confirm(payment).status_code == 409
    elif ends == "renewed":
        assert processes.post(f"/payments/pix/{txid}/renew").status_code == 201
    read()
    processes.sweep()
    read()
    numbers = [number for number, _ in states]
    assert numbers == sorted(numbers)
    of_each = Counter(number for number, _ in set(states))
    assert set(of_each.values()) == {1}, states
    events = [(event.sequence, event.name) for event in processes.tables.events(txid)]
    assert [number for number, _ in events] == sorted({number for number, _ in events})
    last_change = {"told late": "payment.confirmed", "paid late": "receipt.refused"}.get(ends)
    if last_change is not None:
        seen_before = 2  # `expired` by the clock
        assert next(number for number, name in events if name == last_change) > seen_before
    assert processes.tables.payment(txid).sequence == numbers[-1]
