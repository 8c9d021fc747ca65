"""The database refuses what the rules forbid: each rule is a constraint too, on every engine.

The tests insert rows directly, without the service, because the schema is the last safeguard.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_migrate import downgrade, upgrade

from config import ConfigurationError
from db_models import Account, ApiKey, IdempotentRequest, Payment, PaymentEvent, Receipt
from db_models.base import db
from repository.database import in_unit_of_work, reading
from server.schema import MIGRATIONS, require_schema, revision_of_database
from tests.db.tables import NOON, Tables, payment_row, receipt_row
from tests.support.plugin import SERVERS
from tests.support.service import close_app, ready_app, settings_for

LATER = NOON + timedelta(minutes=5)
CONFIRMED: dict[str, Any] = {"status": "confirmed", "resolved_at": LATER, "end_to_end_id": "E1"}
EXPIRED: dict[str, Any] = {"status": "expired", "resolved_at": LATER}
BAD_PAYMENTS: list[tuple[str, dict[str, Any]]] = [
    ("amount_positive", {"amount_centavos": 0}),
    ("", {"amount_centavos": -1}),  # two checks refuse it; MariaDB names either
    ("refunded_within_amount", {**CONFIRMED, "refunded_centavos": -1}),
    ("refunded_within_amount", {**CONFIRMED, "refunded_centavos": 5491}),
    ("refunded_only_if_confirmed", {"refunded_centavos": 1}),
    ("status_known", {"status": "paid", "resolved_at": LATER}),
    ("pending_is_unresolved", {"resolved_at": LATER}),
    ("pending_is_unresolved", {**CONFIRMED, "resolved_at": None}),
    ("pending_is_unresolved", {"status": "expired"}),
    ("confirmed_by_a_receipt", {**CONFIRMED, "end_to_end_id": None}),
    ("confirmed_by_a_receipt", {**CONFIRMED, "status": "cancelled"}),
    ("sequence_positive", {"sequence": 0}),
    ("expires_after_creation", {"expires_at": NOON - timedelta(seconds=1)}),
    ("expires_after_creation", {"expires_at": NOON}),
]
BAD_RECEIPTS: list[tuple[str, dict[str, Any]]] = [
    ("amount_positive", {"amount_centavos": 0}),
    ("verdict_has_its_reason", {"reason": "already-paid"}),
    ("verdict_has_its_reason", {"verdict": "refused"}),
    ("verdict_has_its_reason", {"verdict": "perhaps"}),
    ("verdict_has_its_reason", {"payment_id": None}),
]


@pytest.fixture
def service(any_database_url, tmp_path, clock):
    """The service on a migrated database of each engine."""
    app = ready_app(settings_for(any_database_url, tmp_path), clock)
    yield app
    close_app(app)


@pytest.fixture
def migrated(any_empty_database_url, tmp_path, clock):
    """The service on a database that it has migrated itself, and that is its own."""
    app = ready_app(settings_for(any_empty_database_url, tmp_path), clock)
    yield app
    close_app(app)


@pytest.fixture
def tables(service, any_database_url):
    """The rows of that database."""
    return Tables(any_database_url)


@pytest.fixture
def merchant(tables):
    """The row of Alice, who sells."""
    return tables.merchant_id()


def refusal(tables, model, *rows):
    """Insert the rows; return the database's error, or an empty text."""
    try:
        tables.insert(model, *rows)
    except sa.exc.DBAPIError as error:
        return str(error.orig)
    return ""


def insert_payment(tables, merchant, **changes):
    """The row id of a payment put into the table."""
    row = payment_row(merchant, **changes)
    tables.insert(Payment, row)
    return tables.payment(row["txid"]).id


def test_a_payment_that_breaks_a_rule_is_not_stored(tables, merchant):
    """Neither a bug nor a person at the console can write an invalid row."""
    tables.insert(Payment, payment_row(merchant, **CONFIRMED, refunded_centavos=5490))
    tables.insert(Payment, payment_row(merchant, amount_centavos=1))
    tables.insert(Payment, payment_row(merchant, amount_centavos=0, payer_sets_amount=True))
    for constraint, changes in BAD_PAYMENTS:
        message = refusal(tables, Payment, payment_row(merchant, **changes))
        assert f"ck_payments_{constraint}" in message, (changes, message)
    assert len(tables.rows(sa.select(Payment.id))) == 3


def test_a_receipt_that_breaks_a_rule_is_not_stored(tables, merchant):
    """An accepted receipt has its payment, a refused one its reason."""
    payment = insert_payment(tables, merchant, **CONFIRMED)
    tables.insert(Receipt, receipt_row(None, verdict="refused", reason="payment-not-found"))
    for constraint, changes in BAD_RECEIPTS:
        message = refusal(tables, Receipt, receipt_row(payment) | changes)
        assert f"ck_receipts_{constraint}" in message, (changes, message)
    assert len(tables.rows(sa.select(Receipt.id))) == 1


def test_a_payment_is_settled_by_one_receipt(tables, merchant):
    """The unique index makes a second payment impossible, whatever the code does."""
    payment = insert_payment(tables, merchant, **CONFIRMED)
    refusal_fields = {"verdict": "refused", "reason": "already-paid"}
    tables.insert(Receipt, receipt_row(payment))
    tables.insert(
        Receipt, receipt_row(payment, **refusal_fields), receipt_row(payment, **refusal_fields)
    )
    assert "settles_payment_id" in refusal(tables, Receipt, receipt_row(payment))
    assert len(tables.rows(sa.select(Receipt.id))) == 3


def test_a_transfer_has_one_receipt(tables, merchant):
    """The same money cannot pay two payments."""
    one, other = (insert_payment(tables, merchant, **CONFIRMED) for _ in range(2))
    tables.insert(Receipt, receipt_row(one, end_to_end_id="E-same"))
    message = refusal(tables, Receipt, receipt_row(other, end_to_end_id="E-same"))
    assert "end_to_end_id" in message


def test_an_order_has_one_payment_that_can_be_or_was_paid(tables, merchant):
    """An expired or cancelled payment allows another one; a pending or confirmed one does not."""
    order = {"order_id": "order-1"}
    cancelled = {"status": "cancelled", "resolved_at": LATER}
    for changes in (EXPIRED, EXPIRED, cancelled, {}):
        assert refusal(tables, Payment, payment_row(merchant, **order, **changes)) == ""
    for changes in ({}, CONFIRMED):
        message = refusal(tables, Payment, payment_row(merchant, **order, **changes))
        assert "live_order_id" in message
    assert refusal(tables, Payment, payment_row(merchant, order_id="order-2")) == ""
    assert refusal(tables, Payment, payment_row(merchant), payment_row(merchant)) == ""


def test_an_order_of_another_merchant_is_another_order(tables, merchant):
    """Order numbers are each shop's own."""
    charlie = {
        "login": "charlie",
        "name": "Charlie",
        "city": "Recife",
        "pix_key": "charlie@example.com",
        "grace_seconds": 0,
        "created_at": NOON,
    }
    tables.insert(Account, charlie)
    other = tables.rows(sa.select(Account.id).where(Account.login == "charlie"))[0].id
    rows = [payment_row(whose, order_id="order-1") for whose in (merchant, other)]
    assert refusal(tables, Payment, *rows) == ""
    bad = {**charlie, "login": "c2", "pix_key": "c2@example.com", "grace_seconds": -1}
    assert "ck_accounts_grace_not_negative" in refusal(tables, Account, bad)
    assert "pix_key" in refusal(tables, Account, {**charlie, "login": "c3"})
    assert "login" in refusal(tables, Account, {**charlie, "pix_key": "c4@example.com"})


def test_a_payment_is_renewed_once(tables, merchant):
    """Two renewals of one payment would be two codes for one debt."""
    old = insert_payment(tables, merchant, **EXPIRED)
    assert refusal(tables, Payment, payment_row(merchant, renewed_from_id=old)) == ""
    again = payment_row(merchant, renewed_from_id=old)
    assert "renewed_from_id" in refusal(tables, Payment, again)


def test_a_dangling_reference_is_not_stored(tables, merchant):
    """A receipt, an event or a payment without an owner could not be explained."""
    nowhere = 999_999
    payment = insert_payment(tables, merchant, **CONFIRMED)
    event = {
        "name": "payment.created",
        "sequence": 1,
        "occurred_at": NOON,
        "data": {},
    }
    tables.insert(PaymentEvent, {**event, "payment_id": payment})
    stored_answer = {"operation": "create payment", "request": {}, "status": 201, "location": "/"}
    stored_answer |= {"answer": {}, "created_at": NOON, "key": "k"}
    key = {"account_id": nowhere, "key_sha256": "0" * 64, "label": "x", "created_at": NOON}
    for model, row in (
        (Payment, payment_row(nowhere)),
        (Payment, payment_row(merchant, renewed_from_id=nowhere)),
        (Receipt, receipt_row(nowhere)),
        (Receipt, receipt_row(payment, merchant_id=nowhere)),
        (PaymentEvent, {**event, "payment_id": nowhere}),
        (IdempotentRequest, {**stored_answer, "merchant_id": nowhere}),
        (ApiKey, key),
    ):
        assert "foreign key" in refusal(tables, model, row).lower(), model


def test_an_idempotency_key_is_stored_once_for_each_merchant(tables, merchant):
    """Two first answers to one key would be two payments."""
    stored_answer = {"operation": "create payment", "request": {}, "status": 201, "location": "/"}
    stored_answer |= {"answer": {}, "created_at": NOON, "merchant_id": merchant}
    tables.insert(
        IdempotentRequest, {**stored_answer, "key": "one"}, {**stored_answer, "key": "One"}
    )
    assert "key" in refusal(tables, IdempotentRequest, {**stored_answer, "key": "one"})


def test_ids_that_differ_in_case_or_a_trailing_space_are_different(tables, merchant):
    """MySQL's usual collations fold both: one shop's order could then block another order."""
    names = ["abc", "ABC", "aBc", "abc ", "ábc"]
    tables.insert(Payment, *(payment_row(merchant, order_id=name) for name in names))
    tables.insert(Payment, *(payment_row(merchant, txid=txid) for txid in ("abcDEF", "ABCdef")))
    for name in names:
        stored_row = tables.rows(sa.select(Payment.order_id).where(Payment.order_id == name))
        assert [row.order_id for row in stored_row] == [name]
    payment = insert_payment(tables, merchant, **CONFIRMED)
    refusal_fields = {"verdict": "refused", "reason": "already-paid"}
    rows = [receipt_row(payment, end_to_end_id=name, **refusal_fields) for name in ("e1", "E1")]
    tables.insert(Receipt, *rows)
    assert tables.payment("abcDEF").txid == "abcDEF"
    assert "txid" in refusal(tables, Payment, payment_row(merchant, txid="abcDEF"))


def test_instants_keep_their_microseconds(tables, merchant):
    """With a deadline rounded to seconds, money that was sent in time would be too late."""
    created_at, expires_at = NOON.replace(microsecond=1), NOON.replace(microsecond=999_999)
    row = payment_row(merchant, created_at=created_at, expires_at=expires_at)
    tables.insert(Payment, row)
    stored_row = tables.payment(row["txid"])
    assert (stored_row.created_at, stored_row.expires_at) == (created_at, expires_at)
    assert stored_row.expires_at.utcoffset() == timedelta(0)


def test_text_keeps_every_character(tables, merchant):
    """A description is the shop's own words: accents, emoji, other scripts."""
    words = "Pão de queijo 🧀👩🏽‍🌾 日本 ﷽"
    row = payment_row(merchant, description=words, metadata={"nota": words}, order_id="pedido-🛒")
    tables.insert(Payment, row)
    stored_row = tables.payment(row["txid"])
    assert (stored_row.description, stored_row.metadata, stored_row.order_id) == (
        words,
        {"nota": words},
        "pedido-🛒",
    )


def test_an_instant_without_its_offset_is_refused(tables, merchant):
    """Local time taken for UTC would move a deadline by hours."""
    naive = datetime(2026, 11, 20, 15, 30)  # noqa: DTZ001 - the mistake this is about
    with pytest.raises(sa.exc.StatementError, match="needs a time zone"):
        tables.insert(Payment, payment_row(merchant, expires_at=naive))


def test_every_transaction_reads_what_is_committed(service):
    """Under REPEATABLE READ a writer that waited for a row would see its old values."""

    def level(work):
        dialect = work.session.get_bind().dialect.name
        if dialect == "sqlite":  # serializable by itself: one writer at a time
            return work.session.execute(sa.text("PRAGMA read_uncommitted")).scalar_one()
        names = "('tx_isolation', 'transaction_isolation')"  # MariaDB's and MySQL's
        query = f"SHOW SESSION VARIABLES WHERE Variable_name IN {names}"
        if dialect == "postgresql":
            query = "SHOW transaction_isolation"
        return str(work.session.execute(sa.text(query)).all()[0][-1]).upper()

    with service.app_context():
        assert in_unit_of_work(level) in (0, "READ-COMMITTED", "READ COMMITTED")


@pytest.mark.parametrize("any_database_url", SERVERS, indirect=True)
def test_each_statement_of_a_reader_sees_what_was_committed_since_the_last(
    service, tables, merchant
):
    """Reads on a server use no transaction: ending one costs a round trip for no gain."""
    count = sa.select(sa.func.count()).select_from(Payment)
    with service.app_context(), reading() as work:
        assert work.connection.execute(count).scalar_one() == 0
        tables.insert(Payment, payment_row(merchant))
        assert work.connection.execute(count).scalar_one() == 1


def test_sqlite_is_durable_checks_foreign_keys_and_lets_readers_read(app):
    """SQLite's defaults have none of these settings, and each holds for one connection only."""
    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    with app.app_context():
        connections = [db.engine.connect() for _ in range(3)]
        try:
            for connection in connections:
                values = {
                    name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                    for name in expected
                }
                assert values == expected
        finally:
            for connection in connections:
                connection.close()


@pytest.mark.slow
def test_migrations_up_down_and_up_again_give_the_models_tables(migrated):
    """An operator may go back a version and forward again; nothing is left over or missing."""
    with migrated.app_context():
        for _ in range(2):
            with db.engine.connect() as connection:
                context = MigrationContext.configure(connection, opts={"compare_type": True})
                assert compare_metadata(context, db.metadata) == []
            downgrade(directory=str(MIGRATIONS), revision="base")
            tables_left = sa.inspect(db.engine).get_table_names()
            assert tables_left == ["alembic_version"]
            upgrade(directory=str(MIGRATIONS))
            sa.inspect(db.engine).clear_cache()


@pytest.mark.slow
def test_an_operator_goes_back_also_with_rows_that_old_rules_forbid(
    migrated, any_empty_database_url
):
    """Open amounts of zero and names of 200 letters came with API Pix."""
    tables = Tables(any_empty_database_url)
    open_row = payment_row(
        tables.merchant_id(), amount_centavos=0, payer_sets_amount=True, payer_name="é" * 200
    )
    tables.insert(Payment, open_row)
    with migrated.app_context():
        downgrade(directory=str(MIGRATIONS), revision="0017")
        query = sa.text("SELECT amount_centavos, status, payer_name FROM payments")
        with db.engine.connect() as connection:
            assert connection.execute(query).all() == [(1, "cancelled", "é" * 140)]
        upgrade(directory=str(MIGRATIONS))
    assert tables.payment(open_row["txid"]).status == "cancelled"


def test_a_database_newer_than_the_code_stops_the_start_with_one_sentence(service, tables):
    """Old code on a new schema would write what the new code does not understand."""
    tables.change("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError) as refusal_fields:
        require_schema(service, migrate=True)
    assert str(refusal_fields.value).startswith(
        "The database is newer than this code (revision 9999,"
    )
    assert "\n" not in str(refusal_fields.value)


def test_a_database_older_than_the_code_is_migrated_only_where_that_is_allowed(
    migrated,
):
    """In production the operator decides when; the sentence says what to run."""
    with migrated.app_context():
        downgrade(directory=str(MIGRATIONS), revision="base")
    with pytest.raises(ConfigurationError, match="run `flask db upgrade` first"):
        require_schema(migrated, migrate=False)
    require_schema(migrated, migrate=True)
    with migrated.app_context():
        assert revision_of_database() is not None
    require_schema(migrated, migrate=False)


def test_a_database_that_cannot_be_opened_is_named_without_its_password(tmp_path, clock):
    """The sentence may end up in a ticket, so it must not contain the password."""
    settings = settings_for("mysql://shop:s3cret@127.0.0.1:1/balcao", tmp_path)
    with pytest.raises(ConfigurationError) as refusal_fields:
        ready_app(settings, clock)
    assert "cannot be opened" in str(refusal_fields.value)
    assert "s3cret" not in str(refusal_fields.value)
