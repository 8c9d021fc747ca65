"""When to send a delivery again, by what came back. Pure functions."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from db_models import DeliveryStatus, EndpointKind

PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""The pauses after the first attempt, the second, and so on; after the last one it rests."""
PIX_PAUSES = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    *(timedelta(hours=1),) * 24,
)
"""As PAUSES, for callbacks of API Pix: hourly for a day in the end."""
JITTER = 0.1
"""A pause is up to a tenth shorter or longer, so that what failed together is not sent together."""
RETRY_AFTER_MAX = timedelta(hours=24)
REFUSALS_MAX = 3
"""Attempts that may get a 4xx: the first, and two more."""
PAUSED_AFTER = timedelta(days=3)
"""How long an endpoint may fail without a success until it is paused."""
GONE = 410
_TEMPORARY = frozenset({408, 409, 425, 429})
_SECONDS = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True)
class RetryPlan:
    """How a kind of endpoint is tried again."""

    pauses: tuple[timedelta, ...]
    refusals_max: int | None
    """Attempts that may get a 4xx; None if a 4xx is a failure like any other."""
    heeds_gone: bool
    """Whether 410 disables the endpoint."""


_CALLBACKS = RetryPlan(PIX_PAUSES, None, heeds_gone=False)
PLANS = {
    EndpointKind.EVENTS: RetryPlan(PAUSES, REFUSALS_MAX, heeds_gone=True),
    EndpointKind.PIX: _CALLBACKS,
    EndpointKind.REC: _CALLBACKS,
    EndpointKind.COBR: _CALLBACKS,
}


@dataclass(frozen=True)
class Outcome:
    """What follows from an attempt: the end with this status, or another attempt after a pause."""

    status: DeliveryStatus
    pause: timedelta | None = None
    """Set if `status` is pending."""
    is_refusal: bool = False
    """Whether the answer was a 4xx that counts against REFUSALS_MAX."""
    is_gone: bool = False
    """Whether the receiver wants nothing more."""


def judge(
    status: int | None,
    retry_after: str | None,
    *,
    attempts: int,
    refusals: int,
    now: datetime,
    plan: RetryPlan = PLANS[EndpointKind.EVENTS],
    uniform: Callable[[float, float], float] = random.uniform,
) -> Outcome:
    """Judge one attempt; `status` is None if no answer came.

    `attempts` counts this attempt; `refusals` counts the refusals before it.
    """
    if status is not None and 200 <= status < 300:
        return Outcome(DeliveryStatus.DELIVERED)
    if status == GONE and plan.heeds_gone:
        return Outcome(DeliveryStatus.FAILED, is_gone=True)
    is_refusal = status is not None and 400 <= status < 500 and status not in _TEMPORARY
    is_final = plan.refusals_max is not None and refusals + 1 >= plan.refusals_max
    if attempts > len(plan.pauses) or (is_refusal and is_final):
        return Outcome(DeliveryStatus.FAILED, is_refusal=is_refusal)
    pause = plan.pauses[attempts - 1] * uniform(1 - JITTER, 1 + JITTER)
    wait = parse_retry_after(retry_after, now)
    return Outcome(
        DeliveryStatus.PENDING,
        pause if wait is None else max(pause, wait),
        is_refusal=is_refusal,
    )


def one_jitter(
    uniform: Callable[[float, float], float] = random.uniform,
) -> Callable[[float, float], float]:
    """A `uniform` for `judge` that draws once: what is judged by it is due at one instant."""
    factor = uniform(1 - JITTER, 1 + JITTER)
    return lambda _least, _most: factor


def parse_retry_after(header: str | None, now: datetime) -> timedelta | None:
    """The pause in a `Retry-After` (RFC 9110, 10.2.3), at most a day; None if unreadable."""
    text = (header or "").strip()
    if _SECONDS.fullmatch(text):
        return min(timedelta(seconds=int(text)), RETRY_AFTER_MAX)
    try:
        instant = parsedate_to_datetime(text)
        wait = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - now
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(wait, timedelta(0)), RETRY_AFTER_MAX)
