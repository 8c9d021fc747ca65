"""The health of the service in figures, each with the threshold above which it is a problem."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app

from config import Settings, current_parts
from core.version import VERSION
from db_models import ProviderAccount, Signal
from payments.reconciliation import LIST
from providers.certificate_notices import WARNED_DAYS, days_left
from providers.check_words import fault_sentence
from repository.admin import (
    AdminQueries,
    Backlog,
    PausedWebhook,
    RefusedReceipt,
    Stuck,
)
from repository.database import Work
from repository.refunds import PAUSE_MAX
from web.health import WELL, health_checks, lag_allowed
from web.limits import limit_names, limits

NEWEST = 20
UNANNOUNCED_LATE = timedelta(seconds=15)
"""The relay announces an event within five seconds if its recorder did not."""
REFUND_LATE = PAUSE_MAX + timedelta(minutes=5)
"""After this time a refund has had a retry, so a reachable bank has answered."""
ASKING_LATE = timedelta(minutes=2)
"""Added to the length of two runs of the reconciliation."""
_CONVERTER = re.compile(r"<\w+:")


@dataclass(frozen=True)
class Check:
    """One part of the service; `detail` is the error text of /readyz, empty when it works."""

    name: str
    state: str
    detail: str


@dataclass(frozen=True)
class BacklogHealth:
    """A backlog: how many rows wait, since when, and the rows that wait longest."""

    backlog: Backlog
    seconds: int
    is_late: bool
    examples: Sequence[Stuck] = ()


@dataclass(frozen=True)
class ReconciliationHealth:
    """How far the bank's list was read; `walked_to` is None if the service asks no bank."""

    asks_bank: bool
    walked_to: datetime | None
    seconds: int
    is_late: bool


@dataclass(frozen=True)
class ReachedLimit:
    """How often a limit was reached in the last 24 hours."""

    name: str
    routes: list[str]
    times: int


@dataclass(frozen=True)
class TroubledAccount:
    """A merchant's account at a bank that fails, or whose certificate ends soon."""

    account: ProviderAccount
    login: str
    name: str
    fault: str
    certificate_days: int | None


@dataclass(frozen=True)
class Overview:
    """The values of the first page."""

    at: datetime
    checks: list[Check]
    lag_seconds: int
    unannounced: BacklogHealth
    overdue: BacklogHealth
    refunds: BacklogHealth
    look_ups: BacklogHealth
    reading: ReconciliationHealth
    refused: list[RefusedReceipt]
    signals: Sequence[tuple[Signal, str, str, bool]]
    paused_webhooks: list[PausedWebhook]
    troubled_accounts: list[TroubledAccount]
    limits: list[ReachedLimit]
    version: str
    async_mode: str
    up_seconds: int

    @property
    def problem_count(self) -> int:
        """How many of the figures exceed their threshold."""
        late = (self.unannounced, self.overdue, self.refunds, self.look_ups, self.reading)
        bad = [check for check in self.checks if check.state == "bad"]
        return len(bad) + sum(figure.is_late for figure in late)


def checks(settings: Settings) -> list[Check]:
    """Check each part of the service as /readyz does; opens its own database sessions."""
    results = []
    for name, text in health_checks(settings).items():
        state = {"ok": "good", "not configured": "off"}[text] if text in WELL else "bad"
        results.append(Check(name, state, text if state == "bad" else ""))
    return results


def overview(
    work: Work,
    queries: AdminQueries,
    settings: Settings,
    health: list[Check],
    reached_limits: list[ReachedLimit],
) -> Overview:
    """The figures at `work.now`."""
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
    unannounced = queries.unannounced_events()
    return Overview(
        at=now,
        checks=health,
        lag_seconds=_seconds(now, due),
        unannounced=_health(
            now, unannounced, is_late=_seconds(now, unannounced.since) > UNANNOUNCED_LATE.seconds
        ),
        overdue=_health(
            now, overdue, queries.most_overdue(overdue_before) if overdue.count else ()
        ),
        refunds=_health(
            now, refunds, queries.slowest_refunds(refunds_before) if refunds.count else ()
        ),
        look_ups=_health(now, look_ups),
        reading=ReconciliationHealth(
            asks,
            walked_to,
            _seconds(now, walked_to),
            is_late=asks and (walked_to is None or now - walked_to > patience),
        ),
        refused=queries.refused_receipts(NEWEST),
        signals=work.signals.newest(NEWEST),
        paused_webhooks=queries.paused_webhooks(NEWEST),
        troubled_accounts=_troubled_accounts(work),
        limits=reached_limits,
        version=VERSION,
        async_mode=settings.async_mode,
        up_seconds=_seconds(now, current_parts().started_at),
    )


def _troubled_accounts(work: Work) -> list[TroubledAccount]:
    soon = work.now + timedelta(days=WARNED_DAYS[0])
    return [
        TroubledAccount(
            account=account,
            login=login,
            name=name,
            fault=fault_sentence(account.fault) if account.fault else "",
            certificate_days=days_left(account.certificate_ends_at, work.now)
            if account.certificate_ends_at is not None
            else None,
        )
        for account, login, name in work.provider_accounts.troubled(soon, NEWEST)
    ]


def count_reached_limits() -> list[ReachedLimit]:
    """Count how often each limit was reached, highest count first; may ask Redis."""
    routes: dict[str, list[str]] = {}
    for rule in current_app.url_map.iter_rules():
        methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        path = _CONVERTER.sub("<", rule.rule)
        routes.setdefault(rule.endpoint, []).append(f"{' '.join(methods)} {path}")
    counts = [
        ReachedLimit(name, routes.get(name, []), times)
        for name, times in limits().hits(*limit_names()).items()
    ]
    return sorted(counts, key=lambda limit: (-limit.times, limit.name))


def _health(
    now: datetime, backlog: Backlog, examples: Sequence[Stuck] = (), *, is_late: bool | None = None
) -> BacklogHealth:
    late = backlog.count > 0 if is_late is None else is_late
    return BacklogHealth(backlog, _seconds(now, backlog.since), late, examples)


def _seconds(now: datetime, since: datetime | None) -> int:
    return 0 if since is None else max(0, int((now - since).total_seconds()))
