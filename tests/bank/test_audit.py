"""`flask bank audit` accepts a sound ledger and finds each kind of fault."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from bank.cli import bank_cli
from bank.money.audit import audit
from tests.bank.automatic import active_mandate, schedule


@pytest.fixture
def ledger_in_use(any_bank, service):
    """A bank with three payments: confirmed, returned, and not yet answered."""
    for answer in (200, (409, "already-paid"), 503):
        service.answers = [answer]
        any_bank.pay(service.charge(any_bank.clock.now())[0])
    return any_bank


def corrupt(bank, *statements):
    """Write to the database directly, past the code that protects the ledger."""
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
    """Run the command on this bank's database."""
    url = bank.branch.settings.database_url
    result = CliRunner().invoke(bank_cli, ["audit", "--database", url])
    return result.exit_code, result.output


def test_a_ledger_in_normal_use_has_no_fault(ledger_in_use):
    """Exit status 0, the balance of each account, and a total of zero."""
    status, output = run(ledger_in_use)

    assert status == 0, output
    assert "payer:bia" in output
    assert "Tudo confere." in output
    assert audit(ledger_in_use.branch.database).total_centavos == 0


@pytest.mark.parametrize(
    ("statement", "sentence"),
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
def test_rows_that_were_changed_directly_are_found(ledger_in_use, statement, sentence):
    """Exit status 1 and a sentence that names the row, on each engine."""
    corrupt(ledger_in_use, statement)

    status, output = run(ledger_in_use)

    assert status == 1
    assert sentence in output
    assert "ERRADO" in output


def test_a_notice_without_its_transfer_is_found(bank, service):
    """SQLite with foreign keys off, as after a careless repair by hand."""
    bank.pay(service.charge(bank.clock.now())[0])
    corrupt(bank, "DELETE FROM bank_transfers WHERE kind = 'payment'")

    assert "não é de nenhum pagamento" in run(bank)[1]


def test_a_charge_of_a_mandate_without_its_money_is_found(bank):
    """And money of a charge that is not paid: the two are written together."""
    order = schedule(bank, active_mandate(bank), days=0)
    bank.branch.collections.pay_due()
    assert run(bank)[0] == 0
    corrupt(bank, "UPDATE bank_collections SET amount_centavos = 1")
    assert "cobrança paga, mas não por um pagamento de R$ 0,01" in run(bank)[1].replace("\xa0", " ")
    corrupt(
        bank,
        "UPDATE bank_collections SET status = 'scheduled', transfer_id = NULL, closed_at = NULL",
    )
    assert f"{order['end_to_end_id']}: cobrança scheduled, mas o dinheiro saiu" in run(bank)[1]


def test_a_transfer_to_a_missing_account_is_found(bank, service):
    """A transfer with one account means that money was lost or invented."""
    corrupt(bank, "DELETE FROM bank_accounts WHERE name = 'opening'")

    status, output = run(bank)

    assert status == 1
    assert "que não são duas contas" in output


def test_an_unreadable_database_is_one_sentence(tmp_path):
    """A wrong URL or an empty file must print neither a stack trace nor 'all is well'."""
    for url in ("nonsense", f"sqlite:///{tmp_path}/empty.sqlite", "sqlite:////nowhere/x"):
        result = CliRunner().invoke(bank_cli, ["audit", "--database", url])
        assert result.exit_code == 1
        assert "não pôde ser lido" in result.output
        assert "Traceback" not in result.output
