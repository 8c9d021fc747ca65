"""`flask bank …`: the same in a terminal, by HTTP to the bank that runs."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bank.cli import bank_cli
from core.pix import br_code
from tests.bank.service_double import PAYEE_KEY


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


@pytest.mark.parametrize("typed", ["12,50", "12.50", "R$ 12,50"])
def test_an_amount_in_a_terminal_is_read_as_on_the_page(run, bank, typed):
    """A payer types a comma here too."""
    code = br_code.encode_static(PAYEE_KEY, "Barraca", "Olinda")

    status, text = run("pay", code, "--value", typed)

    assert status == 0, text
    assert "R$ 12,50" in text
    assert bank.balance() == 482_350 - 1250


def test_what_is_no_amount_is_refused_before_the_bank_is_asked(run, bank):
    """`1,234` is a thousand to one person and one real to another."""
    code = br_code.encode_static(PAYEE_KEY, "Barraca", "Olinda")

    status, text = run("pay", code, "--value", "1,234")

    assert status == 2
    assert "must be an amount of reais, as 12,50" in text
    assert bank.balance() == 482_350


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
