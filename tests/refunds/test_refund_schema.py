"""The constraints on refunds, on every database engine, and the migration that adds refunds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask_migrate import downgrade, upgrade

from db_models import Payment, Refund
from server.schema import MIGRATIONS
from tests.db.tables import NOON, Tables, payment_row
from tests.support.service import close_app, ready_app, settings_for

LATER = NOON + timedelta(minutes=5)
CONFIRMED: dict[str, Any] = {"status": "confirmed", "resolved_at": LATER, "end_to_end_id": "E1"}
DONE: dict[str, Any] = {
    "status": "done",
    "settled_at": LATER,
    "ask_at": None,
    "return_id": "D1",
}
BAD_PAYMENTS: list[tuple[str, dict[str, Any]]] = [
    ("refunding_within_rest", {**CONFIRMED, "refunding_centavos": -1}),
    ("refunding_within_rest", {**CONFIRMED, "refunding_centavos": 5491}),
    ("refunding_within_rest", {**CONFIRMED, "refunded_centavos": 5490, "refunding_centavos": 1}),
    ("refunding_only_if_confirmed", {"refunding_centavos": 1}),
]
BAD_REFUNDS: list[tuple[str, dict[str, Any]]] = [
    ("amount_positive", {"amount_centavos": 0}),
    ("status_known", {**DONE, "status": "perhaps"}),
    ("asked_until_settled", {"ask_at": None}),
    ("asked_until_settled", {"settled_at": LATER}),
    ("asked_until_settled", {**DONE, "ask_at": LATER}),
    ("done_has_its_return", {**DONE, "return_id": None}),
    ("failed_has_its_reason", {**DONE, "status": "failed"}),
    ("failed_has_its_reason", {**DONE, "reason": "refund-too-late"}),
]


@pytest.fixture
def service(any_database_url, tmp_path, clock):
    """The service on a migrated database, on each engine."""
    app = ready_app(settings_for(any_database_url, tmp_path), clock)
    yield app
    close_app(app)


@pytest.fixture
def tables(service, any_database_url):
    """The rows of that database."""
    return Tables(any_database_url)


def refund_row(payment_id, number=1, **changes):
    """A valid row of `refunds` with the status `processing`."""
    return {
        "payment_id": payment_id,
        "refund_id": f"r{number}",
        "bank_refund_id": f"{number:032x}",
        "return_id": None,
        "amount_centavos": 100,
        "is_rest": False,
        "status": "processing",
        "requested_at": NOON,
        "settled_at": None,
        "ask_at": NOON,
        "reason": None,
        "attempts": 1,
        **changes,
    }


def refusal(tables, model, row):
    """The database's error for a row; empty if the row was inserted."""
    try:
        tables.insert(model, row)
    except sa.exc.DBAPIError as error:
        return str(error.orig)
    return ""


def insert_payment(tables, **changes):
    """Insert a confirmed payment; returns its row id."""
    row = payment_row(tables.merchant_id(), **{**CONFIRMED, **changes})
    tables.insert(Payment, row)
    return tables.payment(row["txid"]).id


def test_no_more_than_was_paid_can_be_reserved_or_refunded(tables):
    """A second guard, in case the conditional update has a mistake."""
    insert_payment(tables, refunded_centavos=5000, refunding_centavos=490)
    merchant = tables.merchant_id()
    for constraint, changes in BAD_PAYMENTS:
        message = refusal(tables, Payment, payment_row(merchant, **changes))
        assert f"ck_payments_{constraint}" in message, (changes, message)


def test_an_inconsistent_refund_is_not_stored(tables):
    """`done` needs `return_id`, `failed` needs `reason`, `processing` needs `ask_at`."""
    payment = insert_payment(tables)
    tables.insert(Refund, refund_row(payment, 1), refund_row(payment, 2, **DONE))
    for constraint, changes in BAD_REFUNDS:
        message = refusal(tables, Refund, {**refund_row(payment, 3), **changes})
        assert f"ck_refunds_{constraint}" in message, (changes, message)
    assert "foreign key" in refusal(tables, Refund, refund_row(999_999, 3)).lower()


def test_the_ids_of_refunds_are_unique(tables):
    """The merchant's id within a payment, the bank's two ids everywhere; `a` and `A` differ."""
    one, other = insert_payment(tables), insert_payment(tables)
    tables.insert(Refund, refund_row(one, 1, **DONE))
    tables.insert(Refund, refund_row(other, 2, refund_id="r1"))
    tables.insert(Refund, refund_row(one, 3, refund_id="R1"))
    assert "refund_id" in refusal(tables, Refund, refund_row(one, 4, refund_id="r1"))
    assert "bank_refund_id" in refusal(tables, Refund, refund_row(one, 1, refund_id="r5"))
    assert "return_id" in refusal(tables, Refund, refund_row(one, 6, **DONE))


@pytest.mark.slow
def test_the_migration_keeps_every_payment(service, tables):
    """A merchant keeps a year of payments when refunds are added."""
    before = [insert_payment(tables, refunded_centavos=number) for number in range(50)]
    with service.app_context():
        downgrade(directory=str(MIGRATIONS), revision="0003")
        columns = {column["name"] for column in sa.inspect(tables.engine).get_columns("payments")}
        assert "refunding_centavos" not in columns
        upgrade(directory=str(MIGRATIONS))
    query = sa.select(Payment.id, Payment.refunded_centavos, Payment.refunding_centavos)
    rows = tables.rows(query.order_by(Payment.id))
    assert rows == [(row, number, 0) for number, row in enumerate(before)]
    message = refusal(
        tables, Payment, payment_row(tables.merchant_id(), **CONFIRMED, refunding_centavos=5491)
    )
    assert "ck_payments_refunding_within_rest" in message


def test_the_job_finds_due_refunds_by_an_index(tables, any_database_url):
    """The job runs every second, and must not read a year of settled refunds each time."""
    payment = insert_payment(tables)
    rows = [
        refund_row(payment, number, **{**DONE, "return_id": f"D{number}"}) for number in range(1500)
    ]
    tables.insert(Refund, *rows)
    tables.insert(Refund, refund_row(payment, 2000))
    query = "SELECT id FROM refunds WHERE ask_at <= '2027-01-01' ORDER BY ask_at, id LIMIT 50"
    if any_database_url.startswith("sqlite"):
        plan = str(tables.rows(f"EXPLAIN QUERY PLAN {query}"))
        assert "ix_refunds_due" in plan
        assert "TEMP B-TREE" not in plan
    else:
        tables.change("ANALYZE TABLE refunds" if "mysql" in any_database_url else "ANALYZE refunds")
        assert "ix_refunds_due" in str(tables.rows(f"EXPLAIN {query}"))
