"""Counts what may be fraud, and keeps a row where a threshold is reached.

A signal is a number and the threshold it reached, no score: what it means is for the merchant to
say. Counting is a job of its own, so no payment waits for it, and a signal comes some seconds after
what it is about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from config import Settings
from core.errors import ConcurrentUpdate
from db_models import EventName, SignalKind
from repository.database import LostRace, Work, in_unit_of_work, reading
from repository.events import Recorded
from repository.signals import Count

log = structlog.get_logger()

MESSAGES = {
    SignalKind.WRONG_PINS: "{times} wrong PINs for this payment within {minutes} minutes.",
    SignalKind.WRONG_AMOUNTS: "{times} wrong amounts for this payment within {minutes} minutes.",
    SignalKind.CREATION_BURST: "{times} payments created within {minutes} minutes.",
    SignalKind.REFUSED_PAYER: "{times} payments of one payer refused within {minutes} minutes.",
}


@dataclass(frozen=True)
class Watched:
    """One thing that is counted: from how many on it is a signal, and within how long."""

    kind: SignalKind
    threshold: int
    window: timedelta
    count: Callable[[Work, datetime, int], list[Count]]


def watched(settings: Settings) -> list[Watched]:
    """What the settings ask to be counted; a threshold of zero turns one off."""
    window = timedelta(seconds=settings.signal_window_seconds)
    everything = [
        Watched(
            SignalKind.WRONG_PINS,
            settings.signal_wrong_pins,
            window,
            lambda work, since, least: work.signals.wrong_pins(since, least),
        ),
        Watched(
            SignalKind.WRONG_AMOUNTS,
            settings.signal_wrong_amounts,
            window,
            lambda work, since, least: work.signals.wrong_amounts(since, least),
        ),
        Watched(
            SignalKind.CREATION_BURST,
            settings.signal_creations,
            window,
            lambda work, since, least: work.signals.creations(since, least),
        ),
        Watched(
            SignalKind.REFUSED_PAYER,
            settings.signal_refused_per_payer,
            window,
            lambda work, since, least: work.signals.refused_payers(since, least),
        ),
    ]
    return [one for one in everything if one.threshold > 0]


def scan(settings: Settings) -> int:
    """Count everything once; gives how many new signals were written."""
    written = 0
    for one in watched(settings):
        with reading() as work:
            counts = one.count(work, work.now - one.window, one.threshold)
        for count in counts:
            written += _write(one, count)
    return written


def _write(one: Watched, count: Count) -> int:
    try:
        new = in_unit_of_work(lambda work: _keep(work, one, count), attempts=1)
    except (LostRace, ConcurrentUpdate):
        return 0  # another process wrote it, and will again
    if new:
        log.warning(
            "signal.raised", kind=str(one.kind), merchant=count.merchant_id, times=count.times
        )
    return int(new)


def _keep(work: Work, one: Watched, count: Count) -> bool:
    """Write a new signal with its event, or a higher count; whether it is new."""
    found = work.signals.find_open(count, work.now - one.window)
    if found is not None:
        work.signals.raise_count(found.id, count, work.now)
        return False
    payment = work.payments.by_row_ids({count.payment_id}).get(count.payment_id)
    if payment is None:
        return False
    seconds = int(one.window.total_seconds())
    rounded = int(work.now.timestamp()) // seconds * seconds
    work.signals.insert(
        {
            "merchant_id": count.merchant_id,
            "kind": str(one.kind),
            "subject": count.subject,
            "payment_id": count.payment_id,
            "times": count.times,
            "threshold": one.threshold,
            "window_seconds": seconds,
            "window_at": datetime.fromtimestamp(rounded, work.now.tzinfo),
            "first_at": work.now,
            "last_at": work.now,
        }
    )
    work.record(
        Recorded(
            name=EventName.SIGNAL_RAISED,
            payment_id=payment.id,
            merchant_id=count.merchant_id,
            txid=payment.txid,
            status=payment.status,
            sequence=payment.sequence,
            occurred_at=work.now,
            message=MESSAGES[one.kind].format(times=count.times, minutes=max(1, seconds // 60)),
        )
    )
    return True
