"""The short form of `make soak`: one fault of each kind under load, and the ledger adds up."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from benchmarks.soak.faults import FaultSeconds
from benchmarks.soak.ledger import (
    STATUS_OF_FATE,
    BankMoney,
    SoakReport,
    SoakRows,
    check_logs,
    compare_bank,
    compare_deliveries,
    compare_payments,
)
from benchmarks.soak.memory import slope_per_minute
from benchmarks.soak.run import SoakPlan, run_soak
from benchmarks.soak.shoppers import FATES, SoakPayments
from core.clock import SystemClock
from tests.webhooks.shops import Shop

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


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.timeout(200)
def test_nothing_is_lost_while_sentinels_elect_other_primaries(tmp_path):
    """The primary is killed, and the next one is frozen; SQLite, because MariaDB is above."""
    plan = SoakPlan(
        seconds=5,
        engine="sqlite",
        rate=2,
        fault_every=1,
        fault_seconds=QUICK_FAULTS,
        has_sentinels=True,
        has_each_fault=True,
        is_forked=True,
    )
    report = run_soak(plan, tmp_path, lambda _: None)
    assert report.faults == [], "\n".join(report.lines)
    assert "Redis killed" in "\n".join(report.lines)
    assert "Redis frozen" in "\n".join(report.lines)


ROWS: dict[str, Any] = {
    "statuses": {"p": "confirmed"},
    "refunded": {"p": 0},
    "amounts": {"p": 100},
    "receipts": [("p", "E1", "accepted")],
    "refunds": {},
    "events": {"p": ["payment.created", "payment.confirmed"]},
}


def ledger_faults(acknowledged: SoakPayments, **changes) -> list[str]:
    """The faults of a ledger of one confirmed payment, with these changes of the rows."""
    report = SoakReport()
    compare_payments(acknowledged, SoakRows(**{**ROWS, **changes}), report)
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


REFUSED = [("p", "E1", "accepted"), ("p", "E2", "refused")]


def bank_faults(acknowledged: SoakPayments, bank: BankMoney, **changes) -> list[str]:
    """The faults of the same ledger beside the money at the bank."""
    report = SoakReport()
    compare_bank(acknowledged, SoakRows(**{**ROWS, **changes}), bank, report)
    return report.faults


def test_money_at_the_bank_is_accepted_or_goes_back(acknowledged):
    """Also money that a client was told is refused, which the bank never had."""
    assert bank_faults(acknowledged, BankMoney({"E1"}, set(), {})) == []
    assert bank_faults(acknowledged, BankMoney({"E1", "E2"}, {"E2"}, {}), receipts=REFUSED) == []
    acknowledged.refused["E2"] = "p"
    assert bank_faults(acknowledged, BankMoney(set(), set(), {}), receipts=REFUSED) == []


@pytest.mark.parametrize(
    ("bank", "changes"),
    [
        (BankMoney({"E1", "E2"}, set(), {}), {}),
        (BankMoney({"E1", "E2"}, set(), {}), {"receipts": REFUSED}),
        (BankMoney(set(), set(), {}), {"receipts": REFUSED}),
        (BankMoney({"E1"}, set(), {"p": 100}), {}),
        (BankMoney({"E1"}, set(), {}), {"refunded": {"p": 100}}),
        (BankMoney({"E1"}, {"E1"}, {}), {}),
    ],
    ids=["lost", "refused and not returned", "refused and told nobody", "refunded twice",
         "not refunded", "accepted and returned"],
)  # fmt: skip
def test_a_difference_from_the_bank_is_a_fault(acknowledged, bank, changes):
    """Each is money that somebody would miss."""
    assert bank_faults(acknowledged, bank, **changes)


def shop_with(*arrivals: tuple[str, str, dict[str, str]]) -> Shop:
    """A shop that got these events: type, id and data."""
    events = [{"type": kind, "id": id_, "data": data} for kind, id_, data in arrivals]
    bodies = [json.dumps(event).encode() for event in events]
    return Shop("http://shop.example", SystemClock(), events=events, bodies=bodies)


CREATED, CONFIRMED = ("payment.created", "1", {"id": "p"}), ("payment.confirmed", "2", {"id": "p"})
MONEY_BACK = ("receipt.refused", "3", {"end_to_end_id": "E2", "payment_id": "p"})


@pytest.mark.parametrize(
    ("arrivals", "is_right"),
    [
        ((CREATED, CONFIRMED, MONEY_BACK), True),
        ((CREATED, CREATED, CONFIRMED, CREATED, MONEY_BACK), True),
        ((CREATED, CONFIRMED), False),
        ((CONFIRMED, CREATED, MONEY_BACK), False),
        ((CREATED, CONFIRMED, MONEY_BACK, ("receipt.refused", "4", MONEY_BACK[2])), False),
    ],
    ids=["all", "repeated", "one missing", "disordered", "one too many"],
)
def test_deliveries_are_compared_by_payment(arrivals, is_right):
    """The data of refused money is a receipt, which names its payment."""
    names = ["payment.created", "payment.confirmed", "receipt.refused"]
    report = SoakReport()
    rows = SoakRows(**{**ROWS, "events": {"p": names}})
    compare_deliveries(shop_with(*arrivals), rows, report)
    assert (report.faults == []) is is_right


def test_an_error_in_a_log_is_a_fault_and_warnings_are_counted():
    """Warnings come with faults; errors do not."""
    report = SoakReport()
    check_logs({"one": "timestamp=1 level=warning event=a.b\n" * 2, "two": ""}, report)
    assert report.lines == ["warnings of one: a.b 2", "warnings of two: none"]
    assert report.faults == []
    check_logs({"one": "level=error event=c.d", "two": "Traceback (most recent"}, report)
    assert len(report.faults) == 2


def test_each_fate_ends_in_a_status():
    """A fate without one would not be compared."""
    assert set(FATES) == set(STATUS_OF_FATE)


def test_the_slope_is_that_of_the_line_through_the_samples():
    """Per minute, and nothing for a single sample."""
    assert math.isclose(slope_per_minute([0, 30, 60], [5, 6, 7]), 2.0)
    assert slope_per_minute([0, 10, 20], [3, 3, 3]) == 0
    assert slope_per_minute([1], [3]) == 0
