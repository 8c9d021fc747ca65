"""One soak: start everything, load and faults for a while, then the ledger."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.soak.faults import FaultSeconds, SoakFaults
from benchmarks.soak.ledger import (
    SoakReport,
    check_logs,
    compare_bank,
    compare_deliveries,
    compare_payments,
    compare_watchers,
    read_bank,
    read_rows,
    wait_for,
    wait_until_settled,
)
from benchmarks.soak.memory import WARM_UP_SECONDS, MemoryWatch
from benchmarks.soak.requests import SoakRequests
from benchmarks.soak.shoppers import Shoppers
from benchmarks.soak.stage import Stage, open_stage
from benchmarks.soak.watchers import MerchantListener, SoakWatcher
from tests.db.tables import Tables
from tests.support.service import DEMO_PASSWORD

WATCHERS = 4
SETTLE_SECONDS = 120
SEEN_SECONDS = 40
PROGRESS_SECONDS = 30
EACH_FAULT_SECONDS = 120
FAULTS_SHOWN = 10
SCOPES = ("payments:read", "payments:write", "refunds:write")


@dataclass(frozen=True)
class SoakPlan:
    """How long, on what, and how much."""

    seconds: float
    engine: str = "mysql"
    rate: float = 4
    """New payments per second."""
    fault_every: float = 60
    fault_seconds: FaultSeconds = field(default_factory=FaultSeconds)
    has_sentinels: bool = False
    """Whether Redis is a primary, a replica and three sentinels."""
    has_each_fault: bool = False
    """Whether the load goes on until each fault has come, if `seconds` are too short for that."""
    is_forked: bool = False
    """Whether the processes start by a fork, which is quick, and shares memory."""


def run_soak(plan: SoakPlan, folder: Path, say: Callable[[str], None]) -> SoakReport:
    """Run it; `say` gets a line of progress now and then."""
    with open_stage(
        plan.engine, folder, has_sentinels=plan.has_sentinels, is_forked=plan.is_forked
    ) as stage:
        redis = "Redis under sentinels" if plan.has_sentinels else "Redis"
        say(
            f"two processes on {plan.engine} and {redis}, "
            f"{plan.rate:g} payments/s, {plan.seconds:.0f} s"
        )
        return _Soak(plan, stage, say).run()


class _Soak:
    def __init__(self, plan: SoakPlan, stage: Stage, say: Callable[[str], None]) -> None:
        self._plan, self._stage, self._say = plan, stage, say
        self._requests = SoakRequests(stage.services)
        self._key = self._create_key()
        self._create_webhook()

    def run(self) -> SoakReport:
        stage = self._stage
        watchers = [SoakWatcher(stage.services, number) for number in range(WATCHERS)]
        merchant = MerchantListener(stage.services, self._key)
        turns = itertools.cycle(watchers)
        shoppers = Shoppers(
            self._requests,
            stage.bank.url,
            self._plan.rate,
            lambda txid: next(turns).watch(txid),
            {"Authorization": f"Bearer {self._key}"},
        )
        faults = SoakFaults(stage, self._plan.fault_every, self._plan.fault_seconds)
        memory = MemoryWatch(stage.services, min(WARM_UP_SECONDS, self._plan.seconds / 4))
        shoppers.start()
        faults.start()
        self._wait(shoppers, faults)
        faults.stop()
        shoppers.stop()
        self._say("the load has ended; waiting for what is still to do")
        report = SoakReport()
        tables = Tables(stage.database_url)
        left = wait_until_settled(tables, shoppers.payments, stage.shop, SETTLE_SECONDS)
        report.check(not left, f"not done after {SETTLE_SECONDS} s: {', '.join(left)}")
        self._say("settled; waiting for the watchers")
        rows = read_rows(tables)
        created = shoppers.payments.created.keys()

        def has_been_seen() -> bool:
            return all(
                rows.statuses.get(txid) == status
                for one in watchers
                for txid, status in one.states.items()
            ) and created <= {txid for one in watchers for txid in one.states}

        wait_for(has_been_seen, SEEN_SECONDS)
        grown = memory.stop()
        for watcher in watchers:
            watcher.stop()
        merchant.stop()
        faults.close()
        compare_payments(shoppers.payments, rows, report)
        compare_bank(shoppers.payments, rows, read_bank(Tables(stage.bank.database_url)), report)
        compare_deliveries(stage.shop, rows, report)
        compare_watchers([one.states for one in watchers], rows, report)
        unseen = created - {txid for one in watchers for txid in one.states}
        report.check(not unseen, f"{len(unseen)} payments that no watcher saw")
        report.lines.append(
            f"{sum(one.connections for one in watchers)} connections of watchers, "
            f"{merchant.connections} of the merchant, who heard {len(merchant.messages)} messages"
        )
        report.lines.append(f"answers by status: {dict(sorted(self._requests.statuses.items()))}")
        report.lines.append("faults: " + "; ".join(faults.log))
        report.lines += [one.line() for one in grown]
        report.faults += [*self._requests.errors_500, *shoppers.payments.faults, *faults.failures]
        report.faults += [fault for one in grown if (fault := one.fault()) is not None]
        check_logs({one.instance.name: one.log() for one in stage.services}, report)
        report.lines += [f"FAULT: {fault}" for fault in report.faults[:FAULTS_SHOWN]]
        report.lines.append(
            f"{len(report.faults)} faults" if report.faults else "the ledger adds up"
        )
        return report

    def _wait(self, shoppers: Shoppers, faults: SoakFaults) -> None:
        began_at = time.monotonic()
        while (left := began_at + self._plan.seconds - time.monotonic()) > 0:
            time.sleep(min(PROGRESS_SECONDS, left))
            self._say(
                f"{time.monotonic() - began_at:.0f} s: {len(shoppers.payments.created)} payments, "
                f"{len(self._stage.shop.events)} deliveries, last fault "
                f"{faults.log[-1] if faults.log else 'none'}"
            )
        if self._plan.has_each_fault:
            wait_for(lambda: len(faults.log) >= len(faults.names()), EACH_FAULT_SECONDS)

    def _create_key(self) -> str:
        """An API key of the demo merchant."""
        form = f"username=demo&password={DEMO_PASSWORD}".encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, answer = self._requests.send("POST", "/token", form, headers)
        assert status == 200, answer
        bearer = {"Authorization": f"Bearer {answer['access_token']}"}
        status, answer = self._requests.send("POST", "/api/keys", {"scopes": list(SCOPES)}, bearer)
        assert status == 201, answer
        return str(answer.get("key") or answer["secret"])

    def _create_webhook(self) -> None:
        # Without credentials the demo merchant acts.
        status, answer = self._requests.send("POST", "/webhooks", {"url": self._stage.shop.url})
        assert status == 201, answer
        self._stage.shop.secrets.append(answer["secret"])
