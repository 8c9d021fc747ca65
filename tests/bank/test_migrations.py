"""The bank's own tables: made by migrations, the same on every engine, beside anybody else's."""

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
    """A migrated database of the bank, which the service's table shares."""
    other = Database(any_empty_database_url)
    with other.writing() as session:
        session.connection().exec_driver_sql("CREATE TABLE payments (id INTEGER PRIMARY KEY)")
    migrate(any_empty_database_url)
    yield other
    other.close()


def test_migrations_make_just_the_tables_of_the_models(database):
    """No drift, and the service's own table is neither wanted nor touched."""
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
    """An operator may have to go back; going forward once more opens the demo accounts anew."""
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "base")
    assert not inspect(database.engine).has_table("bank_transfers")

    migrate(any_empty_database_url)
    migrate(any_empty_database_url)

    with database.reading() as session:
        assert session.scalar(select(func.count(BankPayer.id))) == 3


def test_a_database_of_newer_code_is_refused_in_one_sentence(database, any_empty_database_url):
    """Old code on new tables would break in stranger ways."""
    with database.writing() as session:
        session.execute(text("UPDATE bank_alembic_version SET version_num = 'bank_9999'"))

    with pytest.raises(RuntimeError, match="does not fit this version"):
        migrate(any_empty_database_url)


def test_identifiers_differ_by_case_and_instants_keep_microseconds(database):
    """MariaDB would take abc for ABC and drop fractions of a second unless told otherwise."""
    now = SystemClock().now().replace(microsecond=123_456)
    with database.writing() as session:
        session.add(BankAccount(name="payee:abc", kind="payee", opened_at=now))
        session.add(BankAccount(name="payee:ABC", kind="payee", opened_at=now))

    with database.reading() as session:
        found = session.scalars(select(BankAccount).where(BankAccount.name == "payee:abc")).one()
    assert found.opened_at == now


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
def test_the_schema_refuses_transfers_that_make_no_sense(database, changes):
    """The net under the code: amounts, two accounts, and reversals that reverse something."""
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


def test_a_payment_is_given_back_once(database):
    """Two workers that both read a 4xx cannot pay back twice."""
    with database.reading() as session:
        opening = session.scalars(select(Transfer).order_by(Transfer.id)).first()

    def reversal(letter):
        return Transfer(
            identifier=letter * 32,
            kind="return",
            debit_account_id=opening.credit_account_id,
            credit_account_id=opening.debit_account_id,
            amount_centavos=1,
            made_at=opening.made_at,
            reverses_id=opening.id,
        )

    with database.writing() as session:
        session.add(reversal("D"))
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(reversal("F"))
