"""`flask bank unlock`: what the bank's own staff does after five wrong PINs."""

from __future__ import annotations

from click.testing import CliRunner

from bank.cli import bank_cli


def run(bank, handle):
    """The command, on this bank's database."""
    url = bank.branch.settings.database_url
    result = CliRunner().invoke(bank_cli, ["unlock", handle, "--database", url])
    return result.exit_code, result.output.strip()


def test_a_locked_card_pays_again_and_the_count_starts_anew(bank, service):
    """A developer who tried the lock need not throw the database away."""
    code, _ = service.charge(bank.clock.now())
    for _ in range(5):
        bank.pay(code, pin="0000")
    assert bank.pay(code).get_json()["code"] == "pin-locked"

    assert run(bank, "bia") == (0, "Desbloqueado.")

    assert bank.pay(code, pin="0000").get_json()["code"] == "pin-refused"
    assert bank.pay(code).status_code == 200


def test_wrong_pins_short_of_the_lock_are_not_forgiven(bank, service):
    """Unlocking a card that is not locked would be five more guesses."""
    code, _ = service.charge(bank.clock.now())
    for _ in range(4):
        bank.pay(code, pin="0000")

    assert run(bank, "bia") == (0, "Não estava bloqueado.")

    assert bank.pay(code, pin="0000").get_json()["code"] == "pin-locked"


def test_nobody_of_that_name_is_one_sentence(bank):
    """Exit status 1, no trace."""
    status, said = run(bank, "zé")
    assert status == 1
    assert "não existe" in said
