"""The bank's migrations create the same tables on every engine, beside those of the service."""

from __future__ import annotations

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from bank.database import Database, alembic_config
from bank.models import BankAccount, BankBase, BankPayer, Transfer
from bank.money.demo import migrate
from core.clock import SystemClock


@pytest.fixture
def database(any_empty_database_url):
    """A migrated database, which also holds a table of the service."""
    other = Database(any_empty_database_url)
    with other.writing() as session:
        session.connection().exec_driver_sql("CREATE TABLE payments (id INTEGER PRIMARY KEY)")
    migrate(any_empty_database_url)
    yield other
    other.close()


def test_migrations_create_exactly_the_tables_of_the_models(database):
    """Alembic finds no difference and ignores the service's table."""
    options = {
        "include_name": lambda name, kind, _parents: kind != "table" or name.startswith("bank_"),
        "version_table": "bank_alembic_version",
    }
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, BankBase.metadata) == []
        tables = set(inspect(connection).get_table_names())
    assert tables == {*BankBase.metadata.tables, "bank_alembic_version", "payments"}


def test_migrations_go_down_and_up_again(database, any_empty_database_url):
    """An operator may have to go back; the next upgrade opens the demo accounts again."""
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "base")
    assert not inspect(database.engine).has_table("bank_transfers")

    migrate(any_empty_database_url)
    migrate(any_empty_database_url)

    with database.reading() as session:
        assert session.scalar(select(func.count(BankPayer.id))) == 3


def test_a_database_of_newer_code_is_refused_in_one_sentence(database, any_empty_database_url):
    """Old code on new tables would fail later and less clearly."""
    with database.writing() as session:
        session.execute(text("UPDATE bank_alembic_version SET version_num = 'bank_9999'"))

    with pytest.raises(RuntimeError, match="does not fit this version"):
        migrate(any_empty_database_url)


def test_identifiers_differ_by_case_and_instants_keep_microseconds(database):
    """By default MariaDB compares without case and drops fractions of a second."""
    now = SystemClock().now().replace(microsecond=123_456)
    with database.writing() as session:
        session.add(BankAccount(name="payee:abc", kind="payee", opened_at=now))
        session.add(BankAccount(name="payee:ABC", kind="payee", opened_at=now))

    with database.reading() as session:
        account = session.scalars(select(BankAccount).where(BankAccount.name == "payee:abc")).one()
    assert account.opened_at == now


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_centavos": 0},
        {"amount_centavos": -1},
        {"credit_account_id": 1},
        {"kind": "return"},
        {"kind": "gift"},
        {"reverses_id": 1},
        {"debit_account_id": 999},
    ],
)
def test_the_schema_refuses_inconsistent_transfers(database, changes):
    """Constraints hold even if the code has a fault: amounts, two accounts, reversals."""
    row = {
        "identifier": "E" * 32,
        "kind": "payment",
        "debit_account_id": 1,
        "credit_account_id": 2,
        "amount_centavos": 1,
        "made_at": SystemClock().now(),
        **changes,
    }
    # Each driver has its own class for a failed CHECK; what counts is that the row is not there.
    with pytest.raises(DBAPIError), database.writing() as session:
        session.add(Transfer(**row))

    with database.reading() as session:
        assert session.scalar(select(func.count(Transfer.id))) == 3


def test_a_payment_is_returned_once(database):
    """Two workers that both read a 4xx cannot return the money twice."""
    with database.reading() as session:
        opening_transfer = session.scalars(select(Transfer).order_by(Transfer.id)).first()

    def reversal(letter):
        return Transfer(
            identifier=letter * 32,
            kind="return",
            debit_account_id=opening_transfer.credit_account_id,
            credit_account_id=opening_transfer.debit_account_id,
            amount_centavos=1,
            made_at=opening_transfer.made_at,
            reverses_id=opening_transfer.id,
        )

    with database.writing() as session:
        session.add(reversal("D"))
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(reversal("F"))
