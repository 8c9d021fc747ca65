"""A burst: many payments, created at the service and paid through the bank, both over HTTP.

Both sides may be killed and restarted meanwhile: each request carries an idempotency key and is
retried until it is answered. Scenario and amount of the k-th payment depend on the seed alone.
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
    FOUND_BY_LOOK_UP,
    Mix,
    draw,
    random_for,
)
from bank.workbench.burst_http import BurstTimeout, RetryingHttpClient
from bank.workbench.burst_report import BurstReport, SentPayment, compare
from core.money import plain
from core.scenarios import Scenario

AMOUNT_CENTAVOS_MIN, AMOUNT_CENTAVOS_MAX = 100, 50_000
WORKERS = 24
NEAR_DEADLINE_SECONDS = 15

_CHECK_INTERVAL_SECONDS = 5.5
_POLL_INTERVAL_SECONDS = 0.5
_SERVICE_PAGE_ROWS = 40
_AMOUNTS = -1  # amounts have random numbers of their own, apart from those of the scenarios


class BurstFailed(Exception):
    """The burst could not start or not read the results; the message says why."""


@dataclass(frozen=True)
class BurstPlan:
    """The parameters of a burst. `rate` is in payments per second; URLs have no trailing slash."""

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
    """A payment to create."""

    number: int
    scenario: Scenario
    late_seconds: int
    amount_centavos: int


def planned_payments(plan: BurstPlan) -> list[PlannedPayment]:
    """The payments of a burst, numbered from 1."""
    payments = []
    for number in range(1, plan.payments + 1):
        planned = draw(plan.mix, plan.seed, number)
        amount = random_for(plan.seed, _AMOUNTS - number).randint(
            AMOUNT_CENTAVOS_MIN, AMOUNT_CENTAVOS_MAX
        )
        payments.append(PlannedPayment(number, planned.scenario, planned.late_seconds, amount))
    return payments


class Burst:
    """One burst. `on_progress(sent, ended)` is called in the thread that runs it."""

    def __init__(self, plan: BurstPlan, on_progress: Callable[[int, int], None]) -> None:
        self._plan = plan
        self._on_progress = on_progress
        self._http = RetryingHttpClient(plan.timeout_seconds)
        self._run_id = secrets.token_hex(8)
        self._merchant_headers = {"Authorization": f"Bearer {plan.api_key}"} if plan.api_key else {}
        self._sent_payments: list[SentPayment] = []
        self._lock = threading.Lock()
        self._next_check_at: dict[str, float] = {}

    def run(self) -> BurstReport:
        """Send the payments, wait until each has ended, and compare. Raises BurstFailed."""
        started_at = time.monotonic()
        try:
            self._open()
            self._send_all(started_at)
            ledger = self._await_endings()
            payments = self._service_list("", {})
            receipts = self._service_list("/receipts", {})
        except BurstTimeout as error:
            raise BurstFailed(
                f"Depois de {self._plan.timeout_seconds:.0f} s ainda não há resposta: {error}"
            ) from None
        finally:
            self._http.close()
        report = compare(self._sent_payments, ledger, payments, receipts)
        return replace(report, seconds=round(time.monotonic() - started_at, 1))

    def _open(self) -> None:
        self._planned_payments = planned_payments(self._plan)
        # The scenario *pay-more* debits one centavo more.
        funds = sum(payment.amount_centavos + 1 for payment in self._planned_payments)
        answer = self._http.post(
            f"{self._plan.bank_url}/api/burst/session",
            {"pin": self._plan.pin, "funds_centavos": funds},
            {},
        )
        if answer.status != 200:
            detail = answer.members.get("detail") or f"O banco respondeu {answer.status}."
            raise BurstFailed(str(detail))
        self._payer_headers = {"Authorization": f"Bearer {answer.members['token']}"}

    def _send_all(self, started_at: float) -> None:
        with ThreadPoolExecutor(WORKERS) as workers:
            futures = [
                workers.submit(self._send, payment, started_at)
                for payment in self._planned_payments
            ]
            while not all(future.done() for future in futures):
                self._on_progress(len(self._sent_payments), 0)
                time.sleep(0.1)
            self._on_progress(len(self._sent_payments), 0)
            for future in futures:
                future.result()

    def _send(self, planned_payment: PlannedPayment, started_at: float) -> None:
        wait = started_at + (planned_payment.number - 1) / self._plan.rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        payment = self._create(planned_payment)
        key = f"burst-{self._run_id}-{planned_payment.number}"
        answer = self._http.post(
            f"{self._plan.bank_url}/api/burst/pay",
            {
                "code": payment["pix_code"],
                "scenario": planned_payment.scenario.value,
                "late_seconds": planned_payment.late_seconds,
            },
            {**self._payer_headers, "Idempotency-Key": key},
        )
        refusal_code = None if answer.status == 200 else answer.code
        with self._lock:
            self._sent_payments.append(
                SentPayment(
                    payment["id"],
                    planned_payment.scenario,
                    planned_payment.amount_centavos,
                    refusal_code,
                )
            )

    def _create(self, planned_payment: PlannedPayment) -> dict[str, Any]:
        members: dict[str, Any] = {
            "value": plain(planned_payment.amount_centavos),
            "metadata": {"burst": self._run_id},
        }
        if planned_payment.scenario in DEADLINE_SCENARIOS:
            members["expires_in"] = NEAR_DEADLINE_SECONDS
        key = {"Idempotency-Key": f"burst-{self._run_id}-{planned_payment.number}"}
        answer = self._http.post(
            f"{self._plan.service_url}/payments/pix", members, {**self._merchant_headers, **key}
        )
        if answer.status != 201:
            raise BurstFailed(
                f"A loja não criou o pagamento: {answer.members.get('detail') or answer.status}"
            )
        payment: dict[str, Any] = answer.members["payment"]
        return payment

    def _await_endings(self) -> list[dict[str, Any]]:
        """The bank's rows when all payments have ended, or when the time is over."""
        debited_payments = [
            payment for payment in self._sent_payments if payment.refused_by_bank is None
        ]
        found_txids: set[str] = set()
        while True:
            rows = self._bank_list()
            states = {row["txid"]: row["status"] for row in rows}
            found_txids |= self._check_payments(
                payment
                for payment in debited_payments
                if _needs_look_up(payment) and payment.txid not in found_txids
            )
            unfinished_payments = [
                payment
                for payment in debited_payments
                if not _has_ended(payment, states, found_txids)
            ]
            self._on_progress(
                len(self._sent_payments), len(debited_payments) - len(unfinished_payments)
            )
            if not unfinished_payments or self._http.has_timed_out:
                return rows
            time.sleep(_POLL_INTERVAL_SECONDS)

    def _check_payments(self, unnotified_payments: Iterable[SentPayment]) -> set[str]:
        """Make the service ask the bank, as *Já paguei* does, and return the txids it found."""
        now = time.monotonic()
        due_payments = [
            payment
            for payment in unnotified_payments
            if now >= self._next_check_at.get(payment.txid, 0)
        ]
        for payment in due_payments:
            self._next_check_at[payment.txid] = now + _CHECK_INTERVAL_SECONDS
        if not due_payments:
            return set()
        with ThreadPoolExecutor(min(8, len(due_payments))) as workers:
            return {txid for txid, is_found in workers.map(self._check, due_payments) if is_found}

    def _check(self, payment: SentPayment) -> tuple[str, bool]:
        url = f"{self._plan.service_url}/payments/pix/{payment.txid}/check"
        answer = self._http.post(url, {}, {})
        return payment.txid, answer.members.get("status") == "confirmed"

    def _bank_list(self) -> list[dict[str, Any]]:
        return self._pages(f"{self._plan.bank_url}/api/burst/payments", {}, self._payer_headers)

    def _service_list(self, path: str, query: dict[str, str]) -> list[dict[str, Any]]:
        """All rows of the merchant's list, newest first."""
        url = f"{self._plan.service_url}/payments/pix{path}"
        return self._pages(url, {"limit": str(_SERVICE_PAGE_ROWS), **query}, self._merchant_headers)

    def _pages(
        self, url: str, query: dict[str, str], headers: dict[str, str]
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for _ in itertools.count():
            answer = self._http.get(f"{url}?{urlencode(query)}", headers)
            if answer.status != 200:
                raise BurstFailed(f"{url}: {answer.members.get('detail') or answer.status}")
            rows += answer.members["data"]
            if answer.members["next"] is None:
                break
            query = {**query, "after": answer.members["next"]}
        return rows


def _needs_look_up(payment: SentPayment) -> bool:
    return payment.scenario in FOUND_BY_LOOK_UP


def _has_ended(payment: SentPayment, states: dict[str, str], found_txids: set[str]) -> bool:
    if _needs_look_up(payment):
        return payment.txid in found_txids
    return states.get(payment.txid) in (
        ENDINGS[payment.scenario].bank_state,
        "confirmed",
        "returned",
    )
