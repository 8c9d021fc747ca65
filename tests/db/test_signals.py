"""Signals of fraud: one per burst, from the threshold on, for the merchant concerned."""

from __future__ import annotations

from functools import partial

import pytest

from accounts import audit
from db_models import Account, AuditAction
from payments.signals import scan
from repository import signals as queries
from repository.database import in_unit_of_work, reading
from tests.db.crowd import at_once
from tests.support.service import PIX_KEY

LIMITS = {
    "signal_wrong_pins": 3,
    "signal_wrong_amounts": 3,
    "signal_creations": 5,
    "signal_refused_per_payer": 3,
    "signal_window_seconds": 600,
}


@pytest.fixture
def limits(processes):
    """The service's settings with low thresholds."""
    return processes.app().config["BALCAO"].model_copy(update=LIMITS)


@pytest.fixture
def count(processes, limits):
    """Let one process count, as its job does."""

    def run(number=0):
        with processes.app(number).app_context():
            return scan(limits)

    return run


def stored_signals(processes):
    """The stored signals: kind, subject and count, in the order of their insertion."""
    rows = processes.tables.rows("SELECT kind, subject, times FROM signals ORDER BY id")
    return [tuple(row) for row in rows]


def wrong_amount(processes, payment, document="12345678909"):
    """Money of another amount, which goes back."""
    payer = {"name": "Bob de Souza", "document": document}
    answer = processes.bank().confirm(payment, value=1.23, payer=payer)
    assert answer.get_json()["code"] == "amount-mismatch"


def wrong_pin(processes, payment):
    """The audit entry of a wrong PIN."""
    with processes.app().app_context():
        in_unit_of_work(
            lambda work: audit.record(work, None, AuditAction.PIN_REFUSED, payment["id"])
        )


def test_wrong_amounts_for_one_payment_are_a_signal_at_the_threshold(processes, count):
    """Two may be a mistake; the third also raises the signal of the payer."""
    payment, other = processes.create(), processes.create()
    for number, expected in ((1, []), (2, []), (3, ["wrong-amounts", "refused-payer"])):
        wrong_amount(processes, payment)
        assert count() == len(expected), number
        assert [row[0] for row in stored_signals(processes)] == expected
    assert stored_signals(processes)[0] == ("wrong-amounts", payment["id"], 3)
    assert stored_signals(processes)[1] == ("refused-payer", "12345678909", 3)
    assert other["id"] not in [row[1] for row in stored_signals(processes)]


def test_wrong_pins_are_a_signal_of_the_payments_merchant(processes, count):
    """The merchant learns of the attempts, but not who made them; only the bank knows."""
    payment = processes.create()
    for _ in range(2):
        wrong_pin(processes, payment)
    assert count() == 0
    wrong_pin(processes, payment)
    assert count() == 1
    assert stored_signals(processes) == [("wrong-pins", payment["id"], 3)]


def test_a_burst_of_creations_is_a_signal_and_the_same_number_over_a_day_is_not(processes, count):
    """Four payments now and one long ago are ordinary."""
    processes.create()
    processes.clock.advance(seconds=601)
    for _ in range(4):
        processes.create()
    assert count() == 0
    processes.create()
    assert count() == 1
    assert stored_signals(processes) == [("creation-burst", "", 5)]


def test_a_signal_that_goes_on_is_one_row_and_a_later_one_another(processes, count):
    """A badge that counts the same burst every 15 seconds would soon be ignored."""
    for _ in range(5):
        processes.create()
    assert count() == 1
    processes.create()
    assert count() == 0
    assert stored_signals(processes) == [("creation-burst", "", 6)]
    processes.clock.advance(seconds=1300)
    for _ in range(5):
        processes.create()
    assert count() == 1
    assert [row[2] for row in stored_signals(processes)] == [6, 5]


def test_processes_that_count_at_once_write_one_row_and_one_event(processes, count):
    """Each of them runs the job."""
    payment = processes.create()
    for _ in range(3):
        wrong_pin(processes, payment)
    results = at_once([partial(count, number) for number in range(4)])
    assert sum(results) == 1
    assert len(stored_signals(processes)) == 1
    events = processes.tables.rows(
        "SELECT name, relay_at FROM payment_events WHERE name = 'signal.raised'"
    )
    assert [tuple(row) for row in events] == [("signal.raised", None)]


def test_a_threshold_of_zero_counts_nothing(processes, limits):
    """A shop that sells tickets turns one signal off and keeps the others."""
    for _ in range(8):
        processes.create()
    with processes.app().app_context():
        assert scan(limits.model_copy(update={"signal_creations": 0})) == 0
    assert stored_signals(processes) == []


def test_counting_reads_the_last_rows_alone(processes, limits, monkeypatch):
    """The cost of a job that runs every 15 seconds must not grow with the tables."""
    monkeypatch.setattr(queries, "TAIL_ROWS", 4)
    for _ in range(8):
        processes.create()
    with processes.app().app_context():
        assert scan(limits) == 0
        assert scan(limits.model_copy(update={"signal_creations": 4})) == 1


def test_a_merchant_sees_its_own_signals_and_marks_them_as_seen(processes, count):
    """Charlie, another merchant, has no signals."""
    processes.tables.insert(
        Account,
        {
            "login": "charlie",
            "public_id": "c" * 32,
            "role": "merchant",
            "name": "Charlie",
            "city": "Recife",
            "pix_key": f"charlie-{PIX_KEY}@example.com"[:77],
            "created_at": processes.clock.now(),
            "grace_seconds": 0,
        },
    )
    demo = processes.tables.merchant_id()
    charlie = processes.tables.rows("SELECT id FROM accounts WHERE login = 'charlie'")[0].id
    payment = processes.create()
    for _ in range(3):
        wrong_pin(processes, payment)
    count()
    with processes.app().app_context():
        with reading() as work:
            [(signal, txid)] = work.signals.of_merchant(demo, 10).items
            assert (txid, signal.times, signal.threshold) == (payment["id"], 3, 3)
            assert work.signals.of_merchant(demo, 10, signal.public_id).items == []
            assert work.signals.of_merchant(charlie, 10).items == []
            assert (work.signals.unseen(demo), work.signals.unseen(charlie)) == (1, 0)
        in_unit_of_work(lambda work: work.signals.mark_seen(charlie, work.now))
        with reading() as work:
            assert work.signals.unseen(demo) == 1
        in_unit_of_work(lambda work: work.signals.mark_seen(demo, work.now))
        with reading() as work:
            assert work.signals.unseen(demo) == 0
