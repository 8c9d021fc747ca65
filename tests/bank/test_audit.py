"""`flask bank audit`: it says that all is well, and sees when it is not."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from bank.cli import bank_cli
from bank.money.audit import audit


@pytest.fixture
def used(any_bank, service):
    """A bank with a payment that was confirmed, one that came back, and one still to be told."""
    for answer in (200, (409, "already-paid"), 503):
        service.answers = [answer]
        any_bank.pay(service.charge(any_bank.clock.now())[0])
    return any_bank


def corrupt(bank, *statements):
    """Write past the code that guards the ledger."""
    engine = bank.branch.database.engine
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.exec_driver_sql("BEGIN")
        for statement in statements:
            connection.execute(text(statement))
        connection.commit()


def run(bank):
    """The command, on this bank's database."""
    url = bank.branch.settings.database_url
    result = CliRunner().invoke(bank_cli, ["audit", "--database", url])
    return result.exit_code, result.output


def test_a_ledger_that_was_only_used_adds_up(used):
    """Exit status 0, with every account's sum and a total of zero."""
    status, told = run(used)

    assert status == 0, told
    assert "payer:bia" in told
    assert "Tudo confere." in told
    assert audit(used.branch.database).total_centavos == 0


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM bank_transfers WHERE kind = 'return'", "recusado, mas voltaram R$"),
        ("UPDATE bank_transfers SET amount_centavos = 1 WHERE kind = 'return'", "voltaram"),
        ("UPDATE bank_transfers SET amount_centavos = 9999999 WHERE kind = 'payment'", "negativo"),
        ("DELETE FROM bank_notices WHERE verdict = 'confirmed'", "sem aviso"),
        (
            "UPDATE bank_notices SET verdict = 'confirmed' WHERE verdict = 'returned'",
            "voltou sem ter sido recusado",
        ),
        (
            "UPDATE bank_notices SET verdict = 'returned' WHERE verdict = 'confirmed'",
            "recusado, mas voltaram R$ 0,00",
        ),
    ],
)
def test_rows_changed_behind_the_banks_back_are_found(used, statement, said):
    """Exit status 1 and a sentence that names the row, on each engine."""
    corrupt(used, statement)

    status, told = run(used)

    assert status == 1
    assert said in told
    assert "ERRADO" in told


def test_a_transfer_that_vanished_under_its_notice_is_found(bank, service):
    """SQLite with its foreign keys off, as after a careless repair by hand."""
    bank.pay(service.charge(bank.clock.now())[0])
    corrupt(bank, "DELETE FROM bank_transfers WHERE kind = 'payment'")

    assert "não é de nenhum pagamento" in run(bank)[1]


def test_an_account_that_vanished_leaves_a_sum_that_is_not_two_sided(bank, service):
    """Money on one side only is money that was lost or made up."""
    corrupt(bank, "DELETE FROM bank_accounts WHERE name = 'opening'")

    status, told = run(bank)

    assert status == 1
    assert "que não são duas contas" in told


def test_a_database_that_is_none_is_one_sentence(tmp_path):
    """A wrong address, an empty file: no trace, and not 'all is well'."""
    for url in ("nonsense", f"sqlite:///{tmp_path}/empty.sqlite", "sqlite:////nowhere/x"):
        result = CliRunner().invoke(bank_cli, ["audit", "--database", url])
        assert result.exit_code == 1
        assert "não pôde ser lido" in result.output
        assert "Traceback" not in result.output
