"""A payment's life: its rules on plain objects. test_histories.py tries the whole service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.errors import (
    AlreadyPaid,
    AmountMismatch,
    NotCancellable,
    NotRenewable,
    PaidTooLate,
    PaymentCancelled,
)
from payments import lifecycle

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
DEADLINE = NOW + timedelta(minutes=30)
TICK = timedelta(microseconds=1)


@dataclass
class Plain:
    """A payment without a database."""

    status: str = "pending"
    sequence: int = 1
    expires_at: datetime = DEADLINE
    amount_centavos: int = 5490
    payer_sets_amount: bool = False


def confirm(payment: Plain, **changes: Any) -> lifecycle.Change:
    """Confirm with the right amount in time; `changes` replace arguments."""
    notice: dict[str, Any] = {
        "amount_centavos": 5490,
        "paid_at": NOW,
        "end_to_end_id": "E1",
        "grace": timedelta(0),
        "now": NOW,
    }
    return lifecycle.confirm(payment, **{**notice, **changes})


def test_a_payment_can_be_paid_up_to_and_including_its_deadline():
    """One microsecond later it has expired."""
    payment = Plain()
    assert lifecycle.status_at(payment, DEADLINE) == "pending"
    assert lifecycle.status_at(payment, DEADLINE + TICK) == "expired"
    assert confirm(payment, paid_at=DEADLINE).values["status"] == "confirmed"
    with pytest.raises(PaidTooLate):
        confirm(payment, paid_at=DEADLINE + TICK)


def test_a_grace_accepts_money_later_but_does_not_move_the_deadline():
    """Shoppers see the deadline; the bank has a little longer."""
    grace = timedelta(seconds=30)
    payment = Plain()
    assert confirm(payment, paid_at=DEADLINE + grace, grace=grace)
    with pytest.raises(PaidTooLate):
        confirm(payment, paid_at=DEADLINE + grace + TICK, grace=grace)
    assert lifecycle.status_at(payment, DEADLINE + TICK) == "expired"


@pytest.mark.parametrize("centavos", [5489, 5491, 1, 549000])
def test_another_amount_is_refused(centavos):
    """One centavo less or more, or a comma in the wrong place."""
    with pytest.raises(AmountMismatch):
        confirm(Plain(), amount_centavos=centavos)


@pytest.mark.parametrize(
    ("status", "error"), [("confirmed", AlreadyPaid), ("cancelled", PaymentCancelled)]
)
def test_a_paid_or_cancelled_payment_takes_no_money(status, error):
    """The money goes back, whatever its amount or time."""
    for changes in ({}, {"amount_centavos": 1}, {"paid_at": DEADLINE + TICK}):
        with pytest.raises(error):
            confirm(Plain(status=status), **changes)


def test_an_expired_payment_is_confirmed_only_by_money_paid_in_time():
    """A late notice is not a late payment."""
    change = confirm(Plain(status="expired", sequence=2), now=DEADLINE + timedelta(days=3))
    assert change.values["status"] == "confirmed"
    assert change.values["sequence"] == 3
    with pytest.raises(PaidTooLate):
        confirm(Plain(status="expired"), paid_at=DEADLINE + TICK)


@pytest.mark.parametrize("status", ["confirmed", "cancelled", "expired"])
def test_only_a_pending_payment_is_cancelled(status):
    """Every other status is final for the merchant."""
    with pytest.raises(NotCancellable):
        lifecycle.cancel(Plain(status=status), NOW)


def test_a_payment_past_its_deadline_is_neither_cancelled_nor_prolonged():
    """Readers have seen that it expired."""
    assert lifecycle.cancel(Plain(), DEADLINE).values["status"] == "cancelled"
    with pytest.raises(NotCancellable):
        lifecycle.cancel(Plain(), DEADLINE + TICK)
    with pytest.raises(NotCancellable):
        lifecycle.revise_deadline(Plain(), DEADLINE + timedelta(1), DEADLINE + TICK)


@pytest.mark.parametrize("status", ["pending", "confirmed", "cancelled"])
def test_only_an_expired_payment_is_renewed(status):
    """It counts as expired from its deadline on, even before the sweep stored that."""
    with pytest.raises(NotRenewable):
        lifecycle.check_renewable(Plain(status=status), NOW)
    lifecycle.check_renewable(Plain(status="expired"), NOW)
    lifecycle.check_renewable(Plain(), DEADLINE + TICK)


def test_the_remaining_time_ends_at_zero():
    """Whole milliseconds, never negative, and zero once the payment is resolved."""
    payment = Plain()
    assert lifecycle.remaining_ms(payment, NOW) == 1_800_000
    assert lifecycle.remaining_ms(payment, DEADLINE - TICK) == 0
    assert lifecycle.remaining_ms(payment, DEADLINE + timedelta(1)) == 0
    for status in ("confirmed", "cancelled", "expired"):
        assert lifecycle.remaining_ms(Plain(status=status), NOW) == 0


def test_an_expiry_has_its_sequence_before_the_sweep_stores_it():
    """Readers before and after the sweep see the same number."""
    payment = Plain()
    assert lifecycle.sequence_at(payment, DEADLINE + TICK) == 2
    assert lifecycle.expire(payment).values["sequence"] == 2
    swept = Plain(status="expired", sequence=2)
    assert lifecycle.sequence_at(swept, DEADLINE + TICK) == 2
