"""Signals: count events that may be fraud, and store a row once a count reaches its threshold.

A signal is a count, not a score: the merchant decides what it means. A job counts, so that no
payment waits for it; a signal comes some seconds after its cause.
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
from repository.events import StoredEvent
from repository.signals import Count

log = structlog.get_logger()

MESSAGES = {
    SignalKind.WRONG_PINS: "{times} wrong PINs for this payment within {minutes} minutes.",
    SignalKind.WRONG_AMOUNTS: "{times} wrong amounts for this payment within {minutes} minutes.",
    SignalKind.CREATION_BURST: "{times} payments created within {minutes} minutes.",
    SignalKind.REFUSED_PAYER: "{times} payments of one payer refused within {minutes} minutes.",
}


@dataclass(frozen=True)
class Rule:
    """A signal is raised when `count` finds at least `threshold` events within `window`."""

    kind: SignalKind
    threshold: int
    window: timedelta
    count: Callable[[Work, datetime, int], list[Count]]


def rules(settings: Settings) -> list[Rule]:
    """The rules that the settings turn on; a threshold of zero turns a rule off."""
    window = timedelta(seconds=settings.signal_window_seconds)
    all_rules = [
        Rule(
            SignalKind.WRONG_PINS,
            settings.signal_wrong_pins,
            window,
            lambda work, since, least: work.signals.wrong_pins(since, least),
        ),
        Rule(
            SignalKind.WRONG_AMOUNTS,
            settings.signal_wrong_amounts,
            window,
            lambda work, since, least: work.signals.wrong_amounts(since, least),
        ),
        Rule(
            SignalKind.CREATION_BURST,
            settings.signal_creations,
            window,
            lambda work, since, least: work.signals.creations(since, least),
        ),
        Rule(
            SignalKind.REFUSED_PAYER,
            settings.signal_refused_per_payer,
            window,
            lambda work, since, least: work.signals.refused_payers(since, least),
        ),
    ]
    return [rule for rule in all_rules if rule.threshold > 0]


def scan(settings: Settings) -> int:
    """Count once by every rule; returns how many new signals were stored."""
    signals = 0
    for rule in rules(settings):
        with reading() as work:
            counts = rule.count(work, work.now - rule.window, rule.threshold)
        for count in counts:
            signals += _store(rule, count)
    return signals


def _store(rule: Rule, count: Count) -> int:
    try:
        is_new = in_unit_of_work(lambda work: _insert_or_raise(work, rule, count), attempts=1)
    except (LostRace, ConcurrentUpdate):
        return 0  # Another process has stored this count.
    if is_new:
        log.warning(
            "signal.raised", kind=str(rule.kind), merchant=count.merchant_id, times=count.times
        )
    return int(is_new)


def _insert_or_raise(work: Work, rule: Rule, count: Count) -> bool:
    """Insert a signal with its event, or raise the count of an open one; True if it is new."""
    open_signal = work.signals.find_open(count, work.now - rule.window)
    if open_signal is not None:
        work.signals.raise_count(open_signal.id, count, work.now)
        return False
    payment = work.payments.by_row_ids({count.payment_id}).get(count.payment_id)
    if payment is None:
        return False
    seconds = int(rule.window.total_seconds())
    rounded = int(work.now.timestamp()) // seconds * seconds
    work.signals.insert(
        {
            "merchant_id": count.merchant_id,
            "kind": str(rule.kind),
            "subject": count.subject,
            "payment_id": count.payment_id,
            "times": count.times,
            "threshold": rule.threshold,
            "window_seconds": seconds,
            "window_at": datetime.fromtimestamp(rounded, work.now.tzinfo),
            "first_at": work.now,
            "last_at": work.now,
        }
    )
    work.record(
        StoredEvent(
            name=EventName.SIGNAL_RAISED,
            payment_id=payment.id,
            merchant_id=count.merchant_id,
            txid=payment.txid,
            status=payment.status,
            sequence=payment.sequence,
            occurred_at=work.now,
            message=MESSAGES[rule.kind].format(times=count.times, minutes=max(1, seconds // 60)),
        )
    )
    return True
