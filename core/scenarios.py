"""The scenarios of the simulated bank, by the names that `docs/chaos.md` explains.

A shop names one when it creates a payment, and the bank plays it.
"""

from __future__ import annotations

from enum import StrEnum

LATE_SECONDS_DEFAULT, LATE_SECONDS_MAX = 10, 300


class Scenario(StrEnum):
    """The fault to inject into one payment."""

    NORMAL = "normal"
    PAY_LESS = "pay-less"
    PAY_MORE = "pay-more"
    WRONG_KEY = "wrong-key"
    STALE = "stale"
    BAD_SIGNATURE = "bad-signature"
    DOUBLE = "double"
    TEN_TIMES = "ten-times"
    PARALLEL = "parallel"
    LATE = "late"
    OUT_OF_ORDER = "out-of-order"
    LOST_ONCE = "lost-once"
    ANSWER_LOST = "answer-lost"
    LOST = "lost"
    SLOW_API = "slow-api"
    BROKEN_API = "broken-api"
    TOLD_AFTER_DEADLINE = "told-after-deadline"
    PAID_AFTER_DEADLINE = "paid-after-deadline"
    REFUND_REFUSED = "refund-refused"
