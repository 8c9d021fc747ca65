"""`flask bank …`: the same in a terminal, by HTTP to the bank that runs."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bank.cli import bank_cli


@pytest.fixture
def run(bank_url):
    """Run the command against the running bank; the PIN is typed when it is asked for."""

    def invoke(*arguments, pin="1234\n"):
        result = CliRunner().invoke(bank_cli, [*arguments, "--url", bank_url], input=pin)
        return result.exit_code, result.output.replace("\xa0", " ")

    return invoke


def test_paying_in_a_terminal_says_who_got_how_much(run, bank, service):
    """The PIN is asked for and not shown."""
    code, _ = service.charge(bank.clock.now())

    status, text = run("pay", code)

    assert status == 0, text
    assert "Loja da Alice" in text
    assert "R$ 54,90" in text
    assert "confirmado" in text
    assert "1234" not in text
    assert len(service.notices) == 1


def test_money_that_came_back_is_exit_status_1(run, bank, service):
    """A script can tell."""
    service.answers = [(409, "paid-too-late")]
    code, _ = service.charge(bank.clock.now())

    status, text = run("pay", code, "--pin", "1234", "--payer", "caio", "--scenario", "double")

    assert status == 1
    assert "devolvido" in text
    assert "(409)" in text


def test_a_refusal_is_one_sentence(run):
    """No stack trace for a code that cannot be read."""
    status, text = run("pay", "oi")

    assert status == 1
    assert "Não conseguimos ler este código" in text
    assert "Traceback" not in text


def test_a_bank_that_is_not_running_is_said_so():
    """The likeliest mistake of all."""
    result = CliRunner().invoke(
        bank_cli, ["statement", "--pin", "1234", "--url", "http://127.0.0.1:9/bank"]
    )

    assert result.exit_code == 1
    assert "Ele está no ar?" in result.output


def test_the_statement_lists_what_moved(run, bank, service):
    """Newest first, with the balance."""
    code, _ = service.charge(bank.clock.now())
    bank.pay(code)

    lines = run("statement")[1].splitlines()

    shown = "Bia Andrade: saldo R$ 4.768,60"
    assert lines[0].endswith(shown) or lines[1] == shown
    assert "\N{MINUS SIGN}R$ 54,90" in lines[-2]
    assert "Saldo inicial" in lines[-1]
