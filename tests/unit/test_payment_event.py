"""Payment events: whether a cancelled payment was superseded by another one."""

from __future__ import annotations

import pytest

from db_models import PaymentEvent
from db_models.payment_event import SUPERSEDED

CANCELLED = "The payment has been cancelled."
BEFORE = f"{CANCELLED} Its order was paid by another payment."


@pytest.mark.parametrize(
    ("data", "is_superseded"),
    [
        ({"message": "any words", "reason": SUPERSEDED}, True),
        ({"message": BEFORE}, True),
        ({"message": CANCELLED}, False),
        ({"message": BEFORE, "reason": "another"}, False),
        ({}, False),
    ],
)
def test_a_superseded_payment_is_recognised_by_the_events_data(data, is_superseded):
    """Rows from before events had a reason are recognised by their sentence."""
    assert PaymentEvent(data=data).is_superseded is is_superseded
