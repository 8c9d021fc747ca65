"""Bursts: the report finds each wrong centavo, and a kill -9 loses no payment."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from itertools import count

import pytest
from click.testing import CliRunner

from bank.chaos.scenarios import mix_from
from bank.cli import bank_cli
from bank.workbench.burst import BurstPlan, planned_payments
from bank.workbench.burst_http import BurstTimeout, RetryingHttpClient
from bank.workbench.burst_report import SentPayment, compare
from core.scenarios import Scenario
from tests.support.service import ROOT, ServiceProcess

BURST_SECONDS = 100
PLAN = BurstPlan(
    payments=200,
    rate=1000,
    mix=mix_from("hostile"),
    seed=7,
    service_url="http://127.0.0.1:9",
    bank_url="http://127.0.0.1:9/bank",
    pin="1234",
)


# --- the report ----------------------------------------------------------------------------------


class Books:
    """The three books of a burst without faults, which each test changes."""

    def __init__(self) -> None:
        self.sent: list[SentPayment] = []
        self.ledger: list[dict] = []
        self.payments: list[dict] = []
        self.receipts: list[dict] = []
        self._numbers = count(1)

    def add(self, scenario: Scenario, status: str, state: str, reason: str | None = None) -> str:
        """One payment of 10.00 with its rows in all three books."""
        number = next(self._numbers)
        txid = f"tx{number}"
        self.sent.append(SentPayment(txid, scenario, 1000))
        self.ledger.append(
            {
                "txid": txid,
                "amount_centavos": 1000,
                "returned_centavos": 1000 if state == "returned" else 0,
                "status": state,
                "answer_code": reason,
                "answered_after_ms": None if state == "sent" else number,
            }
        )
        self.payments.append({"id": txid, "status": status, "amount_centavos": 1000})
        if reason != "bad-signature":
            self.receipts.append(
                {
                    "bank_payment_id": txid,
                    "verdict": "refused" if reason else "accepted",
                    "amount_centavos": 1000,
                }
            )
        return txid

    def report(self):
        """The books compared."""
        return compare(self.sent, self.ledger, self.payments, self.receipts)


@pytest.fixture
def books() -> Books:
    """Three payments: confirmed, refused, and found by a look-up."""
    result = Books()
    result.add(Scenario.NORMAL, "confirmed", "confirmed")
    result.add(Scenario.PAY_LESS, "pending", "returned", "amount-mismatch")
    result.add(Scenario.LOST, "confirmed", "sent")
    return result


def test_books_that_agree_are_good(books):
    """Confirmed and refused payments are counted, and both sides have the same sums."""
    report = books.report()

    assert report.is_good
    assert (report.sent, report.confirmed) == (3, 2)
    assert report.refused == {"amount-mismatch": 1}
    assert report.bank_kept_centavos == report.service_confirmed_centavos == 2000
    assert (report.p50_ms, report.p99_ms) == (1, 2)


def test_a_debit_without_a_confirmed_payment_is_lost(books):
    """The worst fault: the payer has paid, and the shop does not know."""
    books.payments[0]["status"] = "pending"

    report = books.report()

    assert report.lost == ["tx1"]
    assert not report.is_good
    assert not report.are_sums_equal


def test_a_confirmed_payment_whose_money_went_back_is_lost_too(books):
    """The merchant has lost the money."""
    books.ledger[0] |= {"status": "returned", "returned_centavos": 1000}

    assert books.report().lost == ["tx1"]


def test_two_receipts_or_two_debits_are_doubled(books):
    """The service has accepted the money twice, or the payer has paid twice."""
    books.receipts.append(dict(books.receipts[0]))
    books.ledger.append(dict(books.ledger[2]))

    assert books.report().doubled == ["tx1", "tx3"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b.ledger[1].update(answer_code="paid-too-late"), "paid-too-late"),
        (lambda b: b.receipts.pop(1), "receipts"),
        (lambda b: b.ledger[2].update(status="confirmed"), "confirmed at the bank"),
        (lambda b: b.payments[1].update(status="cancelled"), "cancelled"),
        (lambda b: b.ledger.pop(1), "ledger"),
    ],
)
def test_an_ending_other_than_the_scenarios_is_unexpected(books, change, words):
    """No money is lost, but the service has a fault."""
    change(books)

    report = books.report()

    assert (report.lost, report.doubled) == ([], [])
    assert not report.is_good
    (problem,) = report.unexpected.values()
    assert words in problem


def test_a_payment_that_the_bank_refused_is_neither_lost_nor_unexpected(books):
    """It moved no money and is counted by its reason."""
    books.add(Scenario.NORMAL, "expired", "confirmed")
    books.sent[3] = replace(books.sent[3], refused_by_bank="charge-expired")
    del books.ledger[3], books.receipts[3]

    report = books.report()

    assert report.is_good
    assert report.unpaid == {"charge-expired": 1}


# --- the plan ------------------------------------------------------------------------------------


def test_the_same_seed_plans_the_same_burst():
    """Amount and scenario depend on seed and number alone."""
    assert planned_payments(PLAN) == planned_payments(PLAN)
    assert planned_payments(replace(PLAN, payments=50)) == planned_payments(PLAN)[:50]
    assert planned_payments(replace(PLAN, seed=8)) != planned_payments(PLAN)
    assert {payment.scenario for payment in planned_payments(PLAN)} == set(Scenario)


def test_retries_end_at_the_deadline():
    """A side that never comes back must not block the command for ever."""
    http = RetryingHttpClient(0.2)

    with pytest.raises(BurstTimeout):
        http.get("http://127.0.0.1:9/", {})


# --- the bank's API ------------------------------------------------------------------------------


def test_the_pin_is_checked_once_and_the_token_pays(bank, service):
    """An opening transfer funds the payer, and the list shows the payments of this burst only."""

    def open_session() -> dict[str, str]:
        answer = bank.client.post(
            "/api/burst/session", json={"pin": "1234", "funds_centavos": 20_000}
        )
        return {"Authorization": f"Bearer {answer.get_json()['token']}"}

    earlier = open_session()
    order = {"code": service.charge(bank.clock.now())[0], "scenario": "double"}
    key = {"Idempotency-Key": "one"}
    first = bank.client.post("/api/burst/pay", json=order, headers={**earlier, **key})
    repeated = bank.client.post("/api/burst/pay", json=order, headers={**earlier, **key})
    later = open_session()

    assert first.get_json()["end_to_end_id"] == repeated.get_json()["end_to_end_id"]
    (row,) = bank.client.get("/api/burst/payments", headers=earlier).get_json()["data"]
    assert (row["status"], row["scenario"], row["returned_centavos"]) == ("confirmed", "double", 0)
    assert bank.client.get("/api/burst/payments", headers=later).get_json()["data"] == []
    assert len(service.notices) == 2


@pytest.mark.parametrize("token", ["", "Bearer x", "Bearer " + "é" * 9, "Basic YTpi"])
def test_a_missing_or_foreign_token_neither_pays_nor_lists(bank, token):
    """Only the bank that signed the token accepts it."""
    headers = {"Authorization": token.encode().decode("latin-1")}

    pay = bank.client.post("/api/burst/pay", json={"code": "x"}, headers=headers)
    payment_list = bank.client.get("/api/burst/payments", headers=headers)

    assert (pay.status_code, payment_list.status_code) == (401, 401)


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"pin": "1234"}, 400), ({"pin": "1234", "funds_centavos": 0}, 400),
     ({"pin": "1234", "funds_centavos": 10**13}, 400), ({"pin": 1, "funds_centavos": 5}, 400),
     ({"pin": "9999", "funds_centavos": 5}, 403)],
)  # fmt: skip
def test_a_burst_needs_the_right_pin_and_valid_funds(bank, body, status):
    """The request creates money, even if it is play money."""
    assert bank.client.post("/api/burst/session", json=body).status_code == status


def test_a_burst_without_a_bank_ends_with_one_sentence():
    """The exit status is 1."""
    nowhere = "http://127.0.0.1:9"
    arguments = ["burst", "--payments", "1", "--service", nowhere, "--bank", nowhere]

    result = CliRunner().invoke(bank_cli, [*arguments, "--timeout", "1"])

    assert result.exit_code == 1
    assert "ainda não há resposta" in result.output


# --- against the real service --------------------------------------------------------------------


@pytest.mark.slow
def test_a_burst_survives_a_kill_9_on_every_engine(any_database_url, tmp_path):
    """The process of service and bank is killed amid duplicate, parallel and swapped notices."""
    databases = {"DATABASE_URL": any_database_url}
    if not any_database_url.startswith("sqlite"):
        databases["BANK_DATABASE_URL"] = any_database_url
    payments = 80
    with ServiceProcess(tmp_path, **databases) as process:
        burst = subprocess.Popen(
            [
                *(sys.executable, "-m", "flask", "bank", "burst", "--json", "--seed", "7"),
                *("--mix", "duplicates", "--payments", str(payments), "--rate", "200"),
                *("--service", process.url, "--bank", f"{process.url}/bank"),
                *("--timeout", str(BURST_SECONDS)),
            ],
            cwd=ROOT,
            env=process.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for_confirmed(process, payments // 5)
            process.kill()
            process.start()
            output, _ = burst.communicate(timeout=BURST_SECONDS + 10)
        finally:
            burst.kill()
            burst.wait()
    report = json.loads(output)

    assert report["unexpected"] == {}
    assert (report["lost"], report["doubled"], report["unpaid"]) == ([], [], {})
    assert (report["sent"], report["confirmed"]) == (payments, payments)
    plan = replace(PLAN, payments=payments)
    total_centavos = sum(payment.amount_centavos for payment in planned_payments(plan))
    sums = {report[f"{book}_centavos"] for book in
            ("bank_kept", "service_confirmed", "service_receipts")}  # fmt: skip
    assert sums == {total_centavos}
    duplicates = planned_payments(replace(plan, mix=mix_from("duplicates")))
    assert report["scenarios"] == dict(Counter(payment.scenario.value for payment in duplicates))
    assert burst.returncode == 0


def _wait_for_confirmed(process: ServiceProcess, number: int) -> None:
    limit = time.monotonic() + BURST_SECONDS
    while time.monotonic() < limit:
        path = f"/payments/pix?status=confirmed&limit={number}"
        if len(json.loads(process.get(path)[1])["data"]) >= number:
            return
        time.sleep(0.1)
    raise AssertionError(f"fewer than {number} payments were confirmed in {BURST_SECONDS} s")
