"""Reconciliation: one process at a time reads the bank's list, and no window is skipped."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa

from core.clock import rfc3339
from core.errors import DatabaseUnavailable
from core.runtime.throttle import Throttle
from db_models import Payment, Reconciliation
from payments import lifecycle, look_ups, reconciliation
from payments.reconciliation import IN_FLIGHT, LEASE, OVERLAP, Reconciler
from providers import repeated_warnings
from providers.accounts import signing_banks
from providers.simulated import bank_client
from repository.database import unit_of_work
from tests.db.conftest import Processes
from tests.db.tables import NOON, Tables, payment_row
from tests.support.service import close_app, ready_app, settings_for
from tests.support.stub_bank import StubBank

INTERVAL = timedelta(seconds=15)


@pytest.fixture
def bank(clock, monkeypatch):
    """The bank behind BANK_URL, with no earlier request."""
    monkeypatch.setattr(look_ups, "_look_ups", Throttle(0))
    monkeypatch.setattr(repeated_warnings, "_warnings", Throttle(3600))
    monkeypatch.setattr(bank_client, "_availability_log", bank_client._AvailabilityLog())
    with StubBank(clock) as bank:
        yield bank


@pytest.fixture
def two(any_database_url, tmp_path, clock, bank):
    """Two processes on one new database, once for each engine."""
    settings = settings_for(any_database_url, tmp_path, bank_url=bank.url)
    with ExitStack() as closing:
        apps = []
        for _ in range(2):
            apps.append(ready_app(settings, clock))
            closing.callback(close_app, apps[-1])
        yield Processes(apps, clock, Tables(any_database_url))


class Job:
    """The reconciliation of one process, as its scheduler runs it."""

    def __init__(self, processes, number=0):
        self._app = processes.app(number)
        with self._app.app_context():
            self._reconciler = Reconciler(signing_banks()[0], INTERVAL)

    def run(self):
        """Run once; return how many payments were settled."""
        with self._app.app_context():
            return self._reconciler.run()


def mark(processes):
    """The row with the progress through the list."""
    return processes.tables.rows(sa.select(Reconciliation.__table__))[0]


def test_money_without_a_notice_is_found(two, bank):
    """One event, one receipt, as if the notice had come."""
    payment, other = two.create(), two.create()
    transfer = bank.take(payment)
    two.clock.advance(seconds=1)
    assert Job(two).run() == 1
    row = two.tables.payment(payment["id"])
    assert (row.status, row.end_to_end_id) == ("confirmed", transfer["end_to_end_id"])
    assert row.look_up_at is None
    assert two.tables.event_names(payment["id"]) == ["payment.created", "payment.confirmed"]
    assert two.status(other["id"])["status"] == "pending"


def test_its_merchant_sees_that_the_bank_was_asked(two, bank):
    """One trace however often the bank was asked, and only for payments that were looked up."""
    pending = two.create()
    job = Job(two)
    for _ in range(3):
        two.clock.advance(seconds=30)
        job.run()
    fresh = two.create()
    job.run()
    traced = two.tables.rows(
        "SELECT txid, kind, times FROM payment_traces JOIN payments ON payments.id = payment_id"
    )
    assert [(txid, kind) for txid, kind, _ in traced] == [(pending["id"], "asked")]
    assert traced[0].times == bank.look_ups().count(pending["id"]) > 1
    assert fresh["id"] not in bank.look_ups()


def test_money_taken_in_time_is_found_after_the_expiry_was_written(two, bank):
    """The page said *expired*; Bob paid before that, and his payment is confirmed."""
    payment = two.create(expires_in=10)
    bank.take(payment)
    two.clock.advance(seconds=11)
    assert two.sweep() == 1
    assert Job(two).run() == 1
    names = ["payment.created", "payment.expired", "payment.confirmed"]
    assert two.tables.event_names(payment["id"]) == names


def test_returned_money_is_stored_as_one_refused_receipt(two, bank):
    """Late, wrong or double transfers: the merchant sees each once, however often it is listed."""
    late, wrong, double = two.create(expires_in=10), two.create(), two.create()
    bank.take(wrong, value=1)
    bank.take(double)
    bank.take(double)
    two.clock.advance(seconds=11)
    bank.take(late)
    job = Job(two)
    assert job.run() == 1
    for _ in range(3):
        two.clock.advance(seconds=15)
        assert job.run() == 0
    receipts = two.tables.receipts(late["id"], wrong["id"], double["id"])
    assert Counter((one.bank_payment_id, one.reason) for one in receipts) == {
        (late["id"], "paid-too-late"): 1,
        (wrong["id"], "amount-mismatch"): 1,
        (double["id"], None): 1,
        (double["id"], "already-paid"): 1,
    }


def test_transfers_of_other_shops_are_ignored(two, bank):
    """The bank also settles for other shops, and returns money."""
    payment = two.create()
    bank.take({"id": "f" * 32, "value": 1, "amount_centavos": 100})
    bank.take(payment, txid=None)
    bank.take(payment, status="returned")
    bank.take(payment, end_to_end_id=None)
    bank.take(payment, paid_at=None)
    assert Job(two).run() == 0
    assert two.tables.rows("SELECT COUNT(*) FROM receipts")[0][0] == 0
    assert two.status(payment["id"])["status"] == "pending"


def test_windows_join_and_reach_back(two, bank):
    """A late commit at the bank, or a clock behind ours, falls into the overlap, not a gap."""
    job = Job(two)
    for _ in range(3):
        job.run()
        two.clock.advance(seconds=15)
    windows = bank.windows()
    assert [end for _, end in windows] == [
        NOON,  # after a start there is no notice to wait for
        NOON + INTERVAL - IN_FLIGHT,
        NOON + 2 * INTERVAL - IN_FLIGHT,
    ]
    for (_, end), (start, _) in pairwise(windows):
        assert start == end - OVERLAP
    slow = two.create()
    bank.take(slow, paid_at=rfc3339(two.clock.now() - timedelta(minutes=4)))
    assert job.run() == 1


def test_a_restart_continues_where_the_last_process_ended(two, bank):
    """After three days without a process, the money is found at once and only once."""
    payment = two.create()
    Job(two).run()
    two.clock.advance(minutes=20)
    bank.take(payment)
    two.clock.advance(days=3)
    bank.questions.clear()
    assert Job(two).run() == 1
    assert bank.windows()[0][0] == NOON - OVERLAP
    assert bank.windows()[-1][1] == two.clock.now()
    assert mark(two).walked_to == two.clock.now()


def test_very_new_money_waits_for_its_notice(two, bank):
    """A bank that gets 4xx returns the money, so an earlier look must not confirm the payment."""
    job = Job(two)
    job.run()
    two.clock.advance(seconds=15)
    payment = two.create()
    bank.take(payment)
    assert job.run() == 0
    two.clock.advance(seconds=15)
    assert job.run() == 1


def test_a_clock_set_back_asks_again_and_skips_nothing(two, bank):
    """The mark is in the future then; the overlap is still read."""
    job = Job(two)
    job.run()
    two.clock.advance(minutes=-4)
    payment = two.create()
    bank.take(payment)
    assert Job(two).run() == 1
    assert mark(two).walked_to == NOON


def test_one_process_reads_the_list_at_a_time(two, bank):
    """Ten replicas must not be ten times the load; a run that is too early does nothing."""
    jobs = [Job(two, number) for number in range(2)]
    for job in jobs:
        job.run()  # the first run after a start takes the lease by force
    for _ in range(4):
        two.clock.advance(seconds=15)
        bank.questions.clear()
        for job in jobs:
            job.run()
        assert len(bank.windows()) == 1


def test_of_processes_that_begin_at_the_same_instant_one_reads_the_list(two, bank):
    """The conditional update decides, on each engine."""
    jobs = [Job(two, number) for number in range(2)]
    for job in jobs:
        job.run()
    two.clock.advance(seconds=15)
    bank.questions.clear()
    together = threading.Barrier(2)

    def begin(job):
        together.wait()
        job.run()

    threads = [threading.Thread(target=begin, args=[job]) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(bank.windows()) == 1


def test_a_process_killed_with_the_lease_is_followed_by_another(two, bank):
    """Its lease ends by the clock, and the next holder continues from the same mark."""
    payment = two.create()
    other = Job(two, 1)
    other.run()
    two.clock.advance(seconds=15)
    with two.app().app_context(), unit_of_work() as work:
        now = two.clock.now()
        assert work.reconciliations.acquire("settled", now, now + LEASE, now, by_force=False)
    bank.take(payment)
    two.clock.advance(seconds=29)
    assert other.run() == 0
    two.clock.advance(seconds=1)
    assert other.run() == 1


def test_a_clock_set_back_by_ten_minutes_stops_no_reconciliation(two, bank):
    """The end of the pause is stored as a time of the wall clock."""
    payment, job = two.create(), Job(two)
    job.run()
    two.clock.advance(seconds=-600)
    bank.take(payment)
    assert job.run() == 1


@pytest.mark.parametrize("age_minutes", [0, 15])
def test_a_clock_set_back_by_ten_minutes_delays_no_look_up(two, bank, age_minutes):
    """The next look-up is stored as a time of the wall clock, too."""
    bank.misbehave = lambda question: (404, b"{}") if "/settled" in question else None
    payment, job = two.create(expires_in=3600), Job(two)
    two.clock.advance(minutes=age_minutes)
    job.run()
    two.clock.advance(minutes=-10)
    bank.take(payment, paid_at=rfc3339(two.clock.now()))
    assert job.run() == 1


def test_a_look_up_waits_for_its_pause_where_another_clock_is_a_minute_slow(two, bank):
    """Both sides of the edge; only a clock that was set back ends a pause."""
    payment = two.create(expires_in=36_000)
    longest = lifecycle.LOOK_UP_PAUSE_MAX + timedelta(seconds=60)
    two.clock.advance(hours=1)
    for ahead, expected_look_ups in (
        (longest, []),
        (longest + timedelta(seconds=1), [payment["id"]]),
    ):
        two.tables.change(sa.update(Payment).values(look_up_at=two.clock.now() + ahead))
        Job(two).run()
        assert bank.look_ups() == expected_look_ups


def test_a_process_that_lost_its_lease_does_not_move_the_mark(two, bank):
    """The process was frozen for minutes, so its mark is older than the stored one."""
    Job(two).run()
    two.clock.advance(seconds=15)
    with two.app().app_context():
        now = two.clock.now()
        with unit_of_work() as work:
            transfer = work.reconciliations.acquire(
                "settled", now, now + LEASE, now, by_force=False
            )
        assert transfer is not None
        two.clock.advance(minutes=5)
        Job(two, 1).run()
        with unit_of_work() as work:
            assert not work.reconciliations.release("settled", transfer, now)
    assert mark(two).walked_to == two.clock.now()


def test_a_window_of_many_pages_takes_several_runs(two, bank, monkeypatch):
    """A run is bounded; the cursor is stored for the next run of any process."""
    monkeypatch.setattr(reconciliation, "PAGES_MAX", 2)
    bank.page = 3
    payments = [two.create() for _ in range(15)]
    for payment in payments:
        bank.take(payment)
    settled = []
    for number in range(3):
        settled.append(Job(two, number).run())
        two.clock.advance(seconds=15)
    assert settled == [6, 6, 3]
    assert len({one for one in bank.questions if "/settled" in one}) == len(bank.windows())


@pytest.mark.parametrize(
    "place", [(400, b"{}"), (200, b"{}"), (200, b'{"data": [], "next": null}')]
)
def test_a_cursor_that_the_bank_no_longer_knows_is_dropped(two, bank, monkeypatch, place):
    """Cursors end with the bank's restart: the window begins again."""
    monkeypatch.setattr(reconciliation, "PAGES_MAX", 1)
    bank.page = 1
    payments = [two.create() for _ in range(2)]
    for payment in payments:
        bank.take(payment)
    assert Job(two).run() == 1
    assert mark(two).cursor == "1"
    bank.misbehave = lambda question: place if "after=" in question else None
    assert Job(two).run() == 0
    assert (mark(two).cursor, mark(two).walked_to) == (None, NOON - reconciliation.FIRST_WINDOW)
    bank.misbehave = lambda _question: None
    monkeypatch.setattr(reconciliation, "PAGES_MAX", 5)
    assert Job(two).run() == 1


def test_a_list_that_never_ends_ends_the_run(two, bank, monkeypatch):
    """An endless list takes a bounded time, and single payments are still looked up."""
    payment = two.create()
    two.clock.advance(seconds=20)
    bank.take(payment)
    circle = b'{"data": [], "next": "again"}'
    bank.misbehave = lambda question: (200, circle) if "/settled" in question else None
    assert Job(two).run() == 1
    assert len(bank.windows()) == 2
    assert bank.look_ups() == [payment["id"]]


@pytest.mark.parametrize("answer", [(500, b""), (200, b"{"), (404, b"{}"), (200, b'{"data": 7}')])
def test_an_unavailable_bank_does_not_move_the_mark(two, bank, answer):
    """Payments of that time are found when the bank is back."""
    job = Job(two)
    job.run()
    before = mark(two).walked_to
    payment = two.create(expires_in=30)
    bank.take(payment)
    bank.misbehave = lambda _question: answer
    for _ in range(4):
        two.clock.advance(seconds=15)
        assert job.run() == 0
    assert mark(two).walked_to == before
    two.sweep()
    bank.misbehave = lambda _question: None
    two.clock.advance(seconds=15)
    assert job.run() == 1


def test_a_bank_without_a_list_is_asked_about_each_payment(two, bank):
    """Slower, but still found: 20 s after creation, then less and less often."""
    bank.misbehave = lambda question: (404, b"{}") if "/settled" in question else None
    payment, job = two.create(), Job(two)
    job.run()
    assert bank.look_ups() == []
    moments = []
    for second in range(0, 2400, 15):
        bank.questions.clear()
        job.run()
        two.sweep()
        moments += [second] * len(bank.look_ups())
        two.clock.advance(seconds=15)
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert moments[0] == 30
    assert min(pauses) >= 15
    assert max(pauses) <= 615
    assert len(moments) <= 20
    assert any(1800 < moment <= 1845 for moment in moments), "asked right after the deadline"
    bank.take(payment, paid_at=rfc3339(NOON + timedelta(seconds=5)))
    two.clock.advance(minutes=10)
    assert job.run() == 1


def test_a_payment_that_expired_long_ago_is_not_looked_up(two, bank):
    """Otherwise the number of look-ups would grow for ever."""
    payment, job = two.create(expires_in=10), Job(two)
    for _ in range(3):
        two.clock.advance(minutes=61)
        two.sweep()
        job.run()
    assert bank.look_ups() == [payment["id"]]
    assert two.tables.payment(payment["id"]).look_up_at is None


def test_a_run_looks_up_a_bounded_number_of_payments_the_longest_waiting_first(
    two, bank, monkeypatch
):
    """10,000 open payments are 10,000 look-ups, spread over time."""
    # The number ends the run here, and not the time, which a busy machine needs for less.
    monkeypatch.setattr(reconciliation, "PART_SECONDS", 60.0)
    merchant = two.tables.merchant_id()
    pending = [
        payment_row(
            merchant,
            look_up_at=NOON - timedelta(seconds=number),
            created_at=NOON - timedelta(hours=1),
            txid=f"{number:032d}",
        )
        for number in range(500)
    ]
    two.tables.insert(Payment, *pending)
    job = Job(two)
    job.run()
    assert bank.look_ups() == [f"{number:032d}" for number in range(499, 449, -1)]
    bank.questions.clear()
    two.clock.advance(seconds=15)
    job.run()
    assert bank.look_ups() == [f"{number:032d}" for number in range(449, 399, -1)]


def test_one_failing_look_up_does_not_block_the_others(two, bank):
    """The payment is looked up again later."""
    bad, good = two.create(), two.create()
    bank.take(good)
    bank.misbehave = lambda question: (
        (500, b"") if "/settled" in question or bad["id"] in question else None
    )
    two.clock.advance(seconds=20)
    assert Job(two).run() == 1
    later = two.tables.payment(bad["id"]).look_up_at
    assert later == two.clock.now() + lifecycle.LOOK_UP_PAUSE_MIN


def test_after_a_start_the_banks_money_is_found_before_the_sweep(two, bank):
    """The service was down at the deadline; the first run ends before the sweep's grace."""
    bank.misbehave = lambda question: (404, b"{}") if "/settled" in question else None
    in_time, unpaid = two.create(expires_in=10), two.create(expires_in=10)
    bank.take(in_time)
    # As if looked up just before the stop: the next look-up would be minutes away.
    two.tables.change(sa.update(Payment).values(look_up_at=NOON + timedelta(hours=1)))
    two.clock.advance(minutes=5)
    assert Job(two).run() == 1
    two.sweep()
    assert two.tables.event_names(in_time["id"]) == ["payment.created", "payment.confirmed"]
    assert two.tables.event_names(unpaid["id"]) == ["payment.created", "payment.expired"]


def test_no_transaction_is_open_during_a_request_to_the_bank(two, bank):
    """A slow bank must not lock rows, or SQLite's only writer."""
    payment = two.create()
    two.clock.advance(seconds=20)
    bank.take(payment)

    def meanwhile(_question):
        """Create and cancel a payment in another process, which must not wait."""
        other = two.create()
        assert two.post(f"/payments/pix/{other['id']}/cancel", number=1).status_code == 200

    bank.misbehave = meanwhile
    assert Job(two).run() == 1


def test_a_lost_database_ends_the_run_and_the_next_start_finds_the_money(two, bank, monkeypatch):
    """After a start the lease is taken by force, without waiting."""
    payment = two.create()
    bank.take(payment)

    def away(_notice, *, is_test):
        raise DatabaseUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(look_ups, "settle", away)
        with pytest.raises(DatabaseUnavailable):
            Job(two).run()
    assert Job(two).run() == 1
