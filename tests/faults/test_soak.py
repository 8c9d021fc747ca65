"""The short form of `make soak`: one fault of each kind under load, and the ledger adds up."""

from __future__ import annotations

import math

import pytest

from benchmarks.soak.faults import FaultSeconds
from benchmarks.soak.ledger import STATUS_OF_FATE, SoakReport, SoakRows, compare_payments
from benchmarks.soak.memory import slope_per_minute
from benchmarks.soak.run import SoakPlan, run_soak
from benchmarks.soak.shoppers import FATES, SoakPayments

QUICK_FAULTS = FaultSeconds(
    process=0.5, redis_killed=1, redis_frozen=1.5, database_frozen=2, bank_killed=1
)


@pytest.mark.slow
@pytest.mark.mysql
@pytest.mark.redis
@pytest.mark.timeout(300)
def test_nothing_is_lost_under_one_fault_of_each_kind(tmp_path):
    """What clients were told is what the database has, and what receiver and watchers saw."""
    plan = SoakPlan(
        seconds=15,
        rate=2,
        fault_every=1,
        fault_seconds=QUICK_FAULTS,
        has_each_fault=True,
        is_forked=True,
    )
    report = run_soak(plan, tmp_path, lambda _: None)
    assert report.faults == [], "\n".join(report.lines)
    text = "\n".join(report.lines)
    for fault in ("kill -9", "connections killed", "Redis killed", "Redis frozen"):
        assert fault in text
    assert "database frozen" in text
    assert "provider killed" in text


def ledger_faults(acknowledged: SoakPayments, **changes) -> list[str]:
    """The faults of a ledger of one confirmed payment, with these changes of the rows."""
    rows = {
        "statuses": {"p": "confirmed"},
        "refunded": {"p": 0},
        "amounts": {"p": 100},
        "receipts": [("p", "E1", "accepted")],
        "refunds": {},
        "events": {"p": ["payment.created", "payment.confirmed"]},
    }
    report = SoakReport()
    compare_payments(acknowledged, SoakRows(**{**rows, **changes}), report)
    return report.faults


@pytest.fixture
def acknowledged() -> SoakPayments:
    """One payment that a client was told is confirmed."""
    return SoakPayments(
        created={"p": "confirmed"}, ended={"p": "confirmed"}, end_to_end_ids={"p": "E1"}
    )


def test_a_ledger_that_adds_up_has_no_fault(acknowledged):
    """Else the soak would never end well."""
    assert ledger_faults(acknowledged) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"statuses": {"p": "expired"}},
        {"statuses": {}},
        {"statuses": {"p": "confirmed", "q": "pending"}},
        {"receipts": []},
        {"receipts": [("p", "E1", "accepted"), ("p", "E2", "accepted")]},
        {"receipts": [("p", "E2", "accepted")]},
        {"refunds": {"r": ("p", "done")}},
        {"refunded": {"p": 100}},
    ],
    ids=["another status", "lost", "one too many", "no receipt", "two receipts",
         "another receipt", "an unknown refund", "an amount without a refund"],
)  # fmt: skip
def test_a_difference_between_clients_and_tables_is_a_fault(acknowledged, changes):
    """A ledger that never complains would prove nothing."""
    assert ledger_faults(acknowledged, **changes)


def test_each_fate_ends_in_a_status():
    """A fate without one would not be compared."""
    assert set(FATES) == set(STATUS_OF_FATE)


def test_the_slope_is_that_of_the_line_through_the_samples():
    """Per minute, and nothing for a single sample."""
    assert math.isclose(slope_per_minute([0, 30, 60], [5, 6, 7]), 2.0)
    assert slope_per_minute([0, 10, 20], [3, 3, 3]) == 0
    assert slope_per_minute([1], [3]) == 0
