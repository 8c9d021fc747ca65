"""`flask bank unlock` unlocks a card after five wrong PINs."""

from __future__ import annotations

from click.testing import CliRunner

from bank.cli import bank_cli


def run(bank, handle):
    """Run the command on this bank's database."""
    url = bank.branch.settings.database_url
    result = CliRunner().invoke(bank_cli, ["unlock", handle, "--database", url])
    return result.exit_code, result.output.strip()


def test_an_unlocked_card_pays_again_and_its_count_is_reset(bank, service):
    """A developer who has tried the lock need not delete the database."""
    code, _ = service.charge(bank.clock.now())
    for _ in range(5):
        bank.pay(code, pin="0000")
    assert bank.pay(code).get_json()["code"] == "pin-locked"

    assert run(bank, "bia") == (0, "Desbloqueado.")

    assert bank.pay(code, pin="0000").get_json()["code"] == "pin-refused"
    assert bank.pay(code).status_code == 200


def test_unlocking_keeps_the_count_of_a_card_that_is_not_locked(bank, service):
    """Otherwise the command would allow five more guesses."""
    code, _ = service.charge(bank.clock.now())
    for _ in range(4):
        bank.pay(code, pin="0000")

    assert run(bank, "bia") == (0, "Não estava bloqueado.")

    assert bank.pay(code, pin="0000").get_json()["code"] == "pin-locked"


def test_an_unknown_handle_is_one_sentence(bank):
    """The exit status is 1, and there is no stack trace."""
    status, output = run(bank, "zé")
    assert status == 1
    assert "não existe" in output
