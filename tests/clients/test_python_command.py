"""The command `balcao` against the running service and its simulated bank."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.service import DEMO_PASSWORD, ServiceProcess

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service for all tests of this file; each makes payments of its own."""
    with ServiceProcess(tmp_path_factory.mktemp("command")) as running:
        yield running


@pytest.fixture(scope="module")
def environment(
    service: ServiceProcess, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The variables of a developer's shell."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "clients/python/src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_CONFIG_HOME": str(tmp_path_factory.mktemp("home")),
        "BALCAO_URL": service.url,
    }


@pytest.fixture(scope="module")
def balcao(environment: dict[str, str]) -> Command:
    """balcao("payments", …) runs the command as a process, after a login."""

    def run(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "balcao", *words],
            input=text,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    login = run("login", "--username", "demo", text=DEMO_PASSWORD + "\n")
    assert login.returncode == 0, login.stderr
    return run


def test_the_login_acts_for_its_merchant(balcao: Command, service: ServiceProcess):
    """The key is the file's, because the variables have none."""
    result = balcao("payments", "--limit", "1")

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(("CREATED", "No payments."))


def test_a_wrong_password_says_what_the_service_said(balcao: Command):
    """And the key of the login before stays."""
    result = balcao("login", "--username", "demo", text="wrong\n")

    assert result.returncode == 1
    assert "[unauthorized, HTTP 401]" in result.stderr
    assert balcao("payments").returncode == 0


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ("payment.created", "pending"),
        ("payment.confirmed", "confirmed"),
        ("payment.cancelled", "cancelled"),
        ("payment.refunded", "confirmed"),
        ("refund.failed", "confirmed"),
        ("receipt.refused", "pending"),
        ("payment.expired", "expired"),
    ],
)
def test_a_triggered_event_has_happened_to_a_real_payment(
    balcao: Command, service: ServiceProcess, event: str, status: str
):
    """The payment in the service's own answer, not in what the command prints."""
    order = f"trigger-{event}"

    result = balcao("trigger", event, "--amount", "12.34", "--order-id", order)

    assert result.returncode == 0, result.stderr
    assert f"{event} has happened." in result.stdout
    listed = balcao("payments", "--order-id", order, "--json")
    (payment,) = map(json.loads, listed.stdout.splitlines())
    assert (payment["status"], payment["value"]) == (status, 12.34)
    assert payment["refunded_value"] == (12.34 if event == "payment.refunded" else 0)
    if event == "receipt.refused":
        assert payment["refusal"] is not None


def test_triggered_money_without_a_payment_is_a_receipt(balcao: Command, service: ServiceProcess):
    """The code for it is made by the command, and read by the bank."""
    result = balcao("trigger", "receipt.received", "--amount", "7.77")

    assert result.returncode == 0, result.stderr
    status, body = service.get("/payments/pix/receipts?without_payment=true")
    assert status == 200
    assert [one["amount_centavos"] for one in json.loads(body)["data"]] == [777]


def test_pay_pays_an_id_and_says_what_the_shop_answered(balcao: Command, service: ServiceProcess):
    """The second payer of a code is told no, with the reason."""
    payment = service.create(value="5.00")

    first, second = balcao("pay", payment["id"]), balcao("pay", payment["pix_code"])

    assert first.returncode == 0, first.stderr
    assert "confirmed by the shop" in first.stdout
    assert second.returncode == 1
    assert "The bank refused" in second.stderr


def test_pay_with_too_little_money_comes_back(balcao: Command, service: ServiceProcess):
    """Status 1, because the shop has no money."""
    result = balcao("pay", service.create()["id"], "--scenario", "pay-less")

    assert result.returncode == 1
    assert "returned" in result.stdout
