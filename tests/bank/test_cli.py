"""`flask bank …`: the commands that pay over HTTP at a running bank."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from app import create_app
from bank.cli import bank_cli
from core.pix import br_code
from tests.bank.service_double import PAYEE_KEY
from tests.support.service import close_app, free_port
from tests.support.service import settings_for as service_settings


@pytest.fixture
def app_of_port(fresh_database, tmp_path):
    """The service that would listen on this port."""
    apps = []

    def make(port):
        apps.append(create_app(service_settings(fresh_database("sqlite"), tmp_path, port=port)))
        return apps[-1]

    yield make
    for app in apps:
        close_app(app)


@pytest.fixture
def run(bank_url):
    """Run the command against the running bank; the PIN is typed at the prompt."""

    def invoke(*arguments, pin="1234\n"):
        result = CliRunner().invoke(bank_cli, [*arguments, "--url", bank_url], input=pin)
        return result.exit_code, result.output.replace("\xa0", " ")

    return invoke


def test_the_pay_command_prints_payee_and_amount(run, bank, service):
    """It prompts for the PIN and does not print it."""
    code, _ = service.charge(bank.clock.now())

    status, text = run("pay", code)

    assert status == 0, text
    assert "Loja da Alice" in text
    assert "R$ 54,90" in text
    assert "confirmado" in text
    assert "1234" not in text
    assert len(service.notices) == 1


def test_a_returned_payment_is_exit_status_1(run, bank, service):
    """A script can react to it."""
    service.answers = [(409, "paid-too-late")]
    code, _ = service.charge(bank.clock.now())

    status, text = run("pay", code, "--pin", "1234", "--payer", "caio", "--scenario", "double")

    assert status == 1
    assert "devolvido" in text
    assert "(409)" in text


@pytest.mark.parametrize("amount", ["12,50", "12.50", "R$ 12,50"])
def test_an_amount_in_a_terminal_is_read_as_on_the_page(run, bank, amount):
    """People type a comma in a terminal too."""
    code = br_code.encode_static(PAYEE_KEY, "Barraca", "Olinda")

    status, text = run("pay", code, "--value", amount)

    assert status == 0, text
    assert "R$ 12,50" in text
    assert bank.balance() == 482_350 - 1250


def test_an_invalid_amount_is_refused_before_any_request(run, bank):
    """`1,234` is a thousand to one person and one real to another."""
    code = br_code.encode_static(PAYEE_KEY, "Barraca", "Olinda")

    status, text = run("pay", code, "--value", "1,234")

    assert status == 2
    assert "must be an amount of reais, as 12,50" in text
    assert bank.balance() == 482_350


def test_a_refusal_is_one_sentence(run):
    """A code that cannot be read causes no stack trace."""
    status, text = run("pay", "oi")

    assert status == 1
    assert "Não conseguimos ler este código" in text
    assert "Traceback" not in text


def test_the_command_says_that_the_bank_is_not_running():
    """This is the most likely mistake."""
    result = CliRunner().invoke(
        bank_cli, ["statement", "--pin", "1234", "--url", "http://127.0.0.1:9/bank"]
    )

    assert result.exit_code == 1
    assert "Ele está no ar?" in result.output
    assert "--url" in result.output


def test_commands_ask_the_bank_of_their_installation(app_of_port, monkeypatch):
    """`PORT` in `.env` moves the bank; the command follows."""
    monkeypatch.delenv("BANK_URL", raising=False)
    port = free_port()
    runner = app_of_port(port).test_cli_runner()
    for arguments in (["statement", "--pin", "1234"], ["chaos"]):
        result = runner.invoke(args=["bank", *arguments])
        assert result.exit_code == 1
        assert f"http://127.0.0.1:{port}/bank/api" in result.output


def test_the_statement_lists_transfers_and_balance(run, bank, service):
    """The newest transfer comes first."""
    code, _ = service.charge(bank.clock.now())
    bank.pay(code)

    printed = run("statement")[1].removeprefix("Senha: ").lstrip("\n").splitlines()
    # Threads of the service in this process may log between the lines.
    lines = [line for line in printed if not re.match(r"\d{4}-\d{2}-\d{2} [0-9:]{8} \[", line)]

    assert lines[0] == "Bia Andrade: saldo R$ 4.768,60"
    assert "\N{MINUS SIGN}R$ 54,90" in lines[-2]
    assert "Saldo inicial" in lines[-1]
