"""How the service is, in figures: each with the edge from which it is worth a look."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app

from config import Settings, current_parts
from db_models import Signal
from payments.reconciliation import LIST
from payments.refunds import PAUSE_MAX
from repository.admin import (
    AdminQueries,
    Backlog,
    RefusedReceipt,
    Stuck,
)
from repository.database import Work
from web.api_docs import VERSION
from web.health import WELL, health_checks, lag_allowed
from web.limits import limit_names, limits

NEWEST = 20
UNTOLD_LATE = timedelta(seconds=15)
"""The relay tells within five seconds what its recorder did not."""
REFUND_LATE = PAUSE_MAX + timedelta(minutes=5)
"""By then a bank that answers at all was asked again."""
ASKING_LATE = timedelta(minutes=2)
"""Beyond two turns of the reconciliation."""
_CONVERTER = re.compile(r"<\w+:")


@dataclass(frozen=True)
class Check:
    """One part of the service; `said` is what is wrong with it, in the words of /readyz."""

    name: str
    state: str
    said: str


@dataclass(frozen=True)
class Late:
    """How many wait longer than they should, since when, and the first few of them."""

    waiting: Backlog
    seconds: int
    is_late: bool
    examples: Sequence[Stuck] = ()


@dataclass(frozen=True)
class ReconciliationHealth:
    """How far the bank's list was read; without a bank to ask there is none."""

    asks_bank: bool
    walked_to: datetime | None
    seconds: int
    is_late: bool


@dataclass(frozen=True)
class Reached:
    """How often a limit was reached in the last 24 hours."""

    name: str
    routes: list[str]
    times: int


@dataclass(frozen=True)
class Overview:
    """Everything the first page shows."""

    at: datetime
    checks: list[Check]
    lag_seconds: int
    untold: Late
    overdue: Late
    refunds: Late
    look_ups: Late
    reading: ReconciliationHealth
    refused: list[RefusedReceipt]
    signals: Sequence[tuple[Signal, str, str]]
    limits: list[Reached]
    version: str
    async_mode: str
    up_seconds: int

    @property
    def needs_a_look(self) -> int:
        """How many of the figures are beyond their edge."""
        late = (self.untold, self.overdue, self.refunds, self.look_ups, self.reading)
        bad = [check for check in self.checks if check.state == "bad"]
        return len(bad) + sum(one.is_late for one in late)


def checks(settings: Settings) -> list[Check]:
    """Each part of the service as /readyz finds it; it opens readings of its own."""
    found = []
    for name, said in health_checks(settings).items():
        state = {"ok": "good", "not configured": "off"}[said] if said in WELL else "bad"
        found.append(Check(name, state, said if state == "bad" else ""))
    return found


def overview(
    work: Work,
    queries: AdminQueries,
    settings: Settings,
    health: list[Check],
    limits_reached: list[Reached],
) -> Overview:
    """The figures as they stand at this instant."""
    now = work.now
    due = work.payments.oldest_due(now)
    overdue_before = now - lag_allowed(settings)
    refunds_before = now - REFUND_LATE
    patience = 2 * timedelta(seconds=settings.reconcile_interval_seconds) + ASKING_LATE
    asks = settings.asks_bank
    overdue = queries.overdue_payments(overdue_before)
    refunds = queries.slow_refunds(refunds_before)
    look_ups = queries.late_look_ups(now - patience) if asks else Backlog()
    walked_to = queries.walked_to(LIST) if asks else None
    untold = queries.untold_events()
    return Overview(
        at=now,
        checks=health,
        lag_seconds=_seconds(now, due),
        untold=_late(now, untold, is_late=_seconds(now, untold.since) > UNTOLD_LATE.seconds),
        overdue=_late(now, overdue, queries.most_overdue(overdue_before) if overdue.count else ()),
        refunds=_late(
            now, refunds, queries.slowest_refunds(refunds_before) if refunds.count else ()
        ),
        look_ups=_late(now, look_ups),
        reading=ReconciliationHealth(
            asks,
            walked_to,
            _seconds(now, walked_to),
            is_late=asks and (walked_to is None or now - walked_to > patience),
        ),
        refused=queries.refused_receipts(NEWEST),
        signals=work.signals.newest(NEWEST),
        limits=limits_reached,
        version=VERSION,
        async_mode=settings.async_mode,
        up_seconds=_seconds(now, current_parts().started_at),
    )


def reached() -> list[Reached]:
    """Every limit with how often it was reached, the most reached first; it may ask Redis."""
    routes: dict[str, list[str]] = {}
    for rule in current_app.url_map.iter_rules():
        methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        shown = _CONVERTER.sub("<", rule.rule)
        routes.setdefault(rule.endpoint, []).append(f"{' '.join(methods)} {shown}")
    found = [
        Reached(name, routes.get(name, []), times)
        for name, times in limits().hits(*limit_names()).items()
    ]
    return sorted(found, key=lambda one: (-one.times, one.name))


def _late(
    now: datetime, waiting: Backlog, examples: Sequence[Stuck] = (), *, is_late: bool | None = None
) -> Late:
    late = waiting.count > 0 if is_late is None else is_late
    return Late(waiting, _seconds(now, waiting.since), late, examples)


def _seconds(now: datetime, since: datetime | None) -> int:
    return 0 if since is None else max(0, int((now - since).total_seconds()))
