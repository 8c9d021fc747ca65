"""A burst: many payments made at the service and paid through the bank, both over HTTP.

Either side may be killed and come back meanwhile: every request carries a key and is repeated
until it is answered. The k-th payment has the same scenario and amount for the same seed.
"""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from bank.chaos.scenarios import (
    DEADLINE_SCENARIOS,
    ENDINGS,
    NEVER_NOTIFIED,
    Mix,
    Scenario,
    draw,
    random_for,
)
from bank.workbench.burst_http import BurstTimeout, RetryingHttpClient
from bank.workbench.burst_report import BurstReport, SentPayment, compare
from core.money import plain

AMOUNT_CENTAVOS_MIN, AMOUNT_CENTAVOS_MAX = 100, 50_000
WORKERS = 24
NEAR_DEADLINE_SECONDS = 15

_ASK_AGAIN_SECONDS = 5.5
_LOOK_AGAIN_SECONDS = 0.5
_SERVICE_PAGE = 40
_AMOUNTS = -1  # the amount's chance must not depend on how many numbers a draw takes


class BurstFailed(Exception):
    """The burst could not begin or be read; the text says why."""


@dataclass(frozen=True)
class BurstPlan:
    """What to send where; `rate` is payments a second, URLs have no final slash."""

    payments: int
    rate: float
    mix: Mix
    seed: int
    service_url: str
    bank_url: str
    pin: str
    api_key: str | None = None
    timeout_seconds: float = 300.0


@dataclass(frozen=True)
class PlannedPayment:
    """One payment before it is made."""

    number: int
    scenario: Scenario
    late_seconds: int
    amount_centavos: int


def planned(plan: BurstPlan) -> list[PlannedPayment]:
    """Every payment of the plan, numbered from 1."""
    found = []
    for number in range(1, plan.payments + 1):
        drawn = draw(plan.mix, plan.seed, number)
        amount = random_for(plan.seed, _AMOUNTS - number).randint(
            AMOUNT_CENTAVOS_MIN, AMOUNT_CENTAVOS_MAX
        )
        found.append(PlannedPayment(number, drawn.scenario, drawn.late_seconds, amount))
    return found


class Burst:
    """One run; `on_progress` is told, in the calling thread, how many payments were sent, ended."""

    def __init__(self, plan: BurstPlan, on_progress: Callable[[int, int], None]) -> None:
        """Nothing is sent before `run`."""
        self._plan = plan
        self._on_progress = on_progress
        self._http = RetryingHttpClient(plan.timeout_seconds)
        self._run_id = secrets.token_hex(8)
        self._merchant = {"Authorization": f"Bearer {plan.api_key}"} if plan.api_key else {}
        self._sent: list[SentPayment] = []
        self._lock = threading.Lock()
        self._asked_at: dict[str, float] = {}

    def run(self) -> BurstReport:
        """Send, wait until each payment has its end, compare. Raises BurstFailed."""
        began = time.monotonic()
        try:
            self._open()
            self._send_all(began)
            ledger = self._await_endings()
            payments = self._service_list("", {})
            receipts = self._service_list("/receipts", {})
        except BurstTimeout as error:
            raise BurstFailed(
                f"Depois de {self._plan.timeout_seconds:.0f} s ainda não há resposta: {error}"
            ) from None
        finally:
            self._http.close()
        report = compare(self._sent, ledger, payments, receipts)
        return replace(report, seconds=round(time.monotonic() - began, 1))

    def _open(self) -> None:
        self._planned = planned(self._plan)
        funds = sum(one.amount_centavos + 1 for one in self._planned)
        reply = self._http.post(
            f"{self._plan.bank_url}/api/burst/session",
            {"pin": self._plan.pin, "funds_centavos": funds},
            {},
        )
        if reply.status != 200:
            raise BurstFailed(str(reply.members.get("detail") or f"O banco disse {reply.status}."))
        self._payer = {"Authorization": f"Bearer {reply.members['token']}"}

    def _send_all(self, began: float) -> None:
        with ThreadPoolExecutor(WORKERS) as workers:
            futures = [workers.submit(self._send, one, began) for one in self._planned]
            while not all(future.done() for future in futures):
                self._on_progress(len(self._sent), 0)
                time.sleep(0.1)
            self._on_progress(len(self._sent), 0)
            for future in futures:
                future.result()

    def _send(self, one: PlannedPayment, began: float) -> None:
        wait = began + (one.number - 1) / self._plan.rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        payment = self._create(one)
        key = f"burst-{self._run_id}-{one.number}"
        reply = self._http.post(
            f"{self._plan.bank_url}/api/burst/pay",
            {
                "code": payment["pix_code"],
                "scenario": one.scenario.value,
                "late_seconds": one.late_seconds,
            },
            {**self._payer, "Idempotency-Key": key},
        )
        refused = None if reply.status == 200 else reply.code
        with self._lock:
            self._sent.append(
                SentPayment(payment["id"], one.scenario, one.amount_centavos, refused)
            )

    def _create(self, one: PlannedPayment) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "value": plain(one.amount_centavos),
            "metadata": {"burst": self._run_id},
        }
        if one.scenario in DEADLINE_SCENARIOS:
            asked["expires_in"] = NEAR_DEADLINE_SECONDS
        key = {"Idempotency-Key": f"burst-{self._run_id}-{one.number}"}
        reply = self._http.post(
            f"{self._plan.service_url}/payments/pix", asked, {**self._merchant, **key}
        )
        if reply.status != 201:
            raise BurstFailed(
                f"A loja não criou o pagamento: {reply.members.get('detail') or reply.status}"
            )
        payment: dict[str, Any] = reply.members["payment"]
        return payment

    def _await_endings(self) -> list[dict[str, Any]]:
        """The bank's rows once each has its end, or as they are when the time is over."""
        paid = [one for one in self._sent if one.refused_by_bank is None]
        found: set[str] = set()
        while True:
            rows = self._bank_list()
            states = {row["txid"]: row["status"] for row in rows}
            found |= self._ask_for(one for one in paid if _is_to_be_found(one, found))
            open_ones = [one for one in paid if not _has_ended(one, states, found)]
            self._on_progress(len(self._sent), len(paid) - len(open_ones))
            if not open_ones or self._http.is_over:
                return rows
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _ask_for(self, lost: Iterable[SentPayment]) -> set[str]:
        """Have the service ask the bank, as *Já paguei* does; the payments it found."""
        now = time.monotonic()
        due = [one for one in lost if now >= self._asked_at.get(one.txid, 0)]
        for one in due:
            self._asked_at[one.txid] = now + _ASK_AGAIN_SECONDS
        if not due:
            return set()
        with ThreadPoolExecutor(min(8, len(due))) as workers:
            return {txid for txid, found in workers.map(self._check, due) if found}

    def _check(self, one: SentPayment) -> tuple[str, bool]:
        url = f"{self._plan.service_url}/payments/pix/{one.txid}/check"
        reply = self._http.post(url, {}, {})
        return one.txid, reply.members.get("status") == "confirmed"

    def _bank_list(self) -> list[dict[str, Any]]:
        return self._pages(f"{self._plan.bank_url}/api/burst/payments", {}, self._payer)

    def _service_list(self, path: str, query: dict[str, str]) -> list[dict[str, Any]]:
        """The merchant's newest rows, back to where all of ours must have been seen."""
        url = f"{self._plan.service_url}/payments/pix{path}"
        return self._pages(url, {"limit": str(_SERVICE_PAGE), **query}, self._merchant)

    def _pages(
        self, url: str, query: dict[str, str], headers: dict[str, str]
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for _ in itertools.count():
            reply = self._http.get(f"{url}?{urlencode(query)}", headers)
            if reply.status != 200:
                raise BurstFailed(f"{url}: {reply.members.get('detail') or reply.status}")
            rows += reply.members["data"]
            if reply.members["next"] is None:
                break
            query = {**query, "after": reply.members["next"]}
        return rows


def _is_to_be_found(one: SentPayment, found: set[str]) -> bool:
    return one.scenario in NEVER_NOTIFIED and one.txid not in found


def _has_ended(one: SentPayment, states: dict[str, str], found: set[str]) -> bool:
    if one.scenario in NEVER_NOTIFIED:
        return one.txid in found
    return states.get(one.txid) == ENDINGS[one.scenario].bank_state or states.get(one.txid) in (
        "confirmed",
        "returned",
    )
