"""What the database refuses about refunds, on every engine; the migration keeps payments."""

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
    """The service on a migrated database of each engine."""
    app = ready_app(settings_for(any_database_url, tmp_path), clock)
    yield app
    close_app(app)


@pytest.fixture
def tables(service, any_database_url):
    """The rows of that database."""
    return Tables(any_database_url)


def refund_row(payment_id, number=1, **changes):
    """A valid row of `refunds`: processing."""
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
    """What the database says to a row; empty where it takes it."""
    try:
        tables.insert(model, row)
    except sa.exc.DBAPIError as error:
        return str(error.orig)
    return ""


def stored(tables, **changes):
    """The row id of a confirmed payment put into the table."""
    row = payment_row(tables.merchant_id(), **{**CONFIRMED, **changes})
    tables.insert(Payment, row)
    return tables.payment(row["txid"]).id


def test_more_than_was_paid_can_neither_be_held_nor_given_back(tables):
    """The net below the conditional update."""
    stored(tables, refunded_centavos=5000, refunding_centavos=490)
    merchant = tables.merchant_id()
    for constraint, changes in BAD_PAYMENTS:
        said = refusal(tables, Payment, payment_row(merchant, **changes))
        assert f"ck_payments_{constraint}" in said, (changes, said)


def test_a_refund_that_breaks_a_rule_is_not_stored(tables):
    """Done has the money's identifier, failed its reason, processing its next time to be asked."""
    payment = stored(tables)
    tables.insert(Refund, refund_row(payment, 1), refund_row(payment, 2, **DONE))
    for constraint, changes in BAD_REFUNDS:
        said = refusal(tables, Refund, {**refund_row(payment, 3), **changes})
        assert f"ck_refunds_{constraint}" in said, (changes, said)
    assert "foreign key" in refusal(tables, Refund, refund_row(999_999, 3)).lower()


def test_names_are_unique_where_they_must_be(tables):
    """The merchant's for one payment, the bank's two for all; and `a` is not `A`."""
    one, other = stored(tables), stored(tables)
    tables.insert(Refund, refund_row(one, 1, **DONE))
    tables.insert(Refund, refund_row(other, 2, refund_id="r1"))
    tables.insert(Refund, refund_row(one, 3, refund_id="R1"))
    assert "refund_id" in refusal(tables, Refund, refund_row(one, 4, refund_id="r1"))
    assert "bank_refund_id" in refusal(tables, Refund, refund_row(one, 1, refund_id="r5"))
    assert "return_id" in refusal(tables, Refund, refund_row(one, 6, **DONE))


@pytest.mark.slow
def test_the_migration_keeps_every_payment(service, tables):
    """A till of a year does not start anew because refunds were added."""
    before = [stored(tables, refunded_centavos=number) for number in range(50)]
    with service.app_context():
        downgrade(directory=str(MIGRATIONS), revision="0003")
        columns = {column["name"] for column in sa.inspect(tables.engine).get_columns("payments")}
        assert "refunding_centavos" not in columns
        upgrade(directory=str(MIGRATIONS))
    query = sa.select(Payment.id, Payment.refunded_centavos, Payment.refunding_centavos)
    rows = tables.rows(query.order_by(Payment.id))
    assert rows == [(row, number, 0) for number, row in enumerate(before)]
    said = refusal(
        tables, Payment, payment_row(tables.merchant_id(), **CONFIRMED, refunding_centavos=5491)
    )
    assert "ck_payments_refunding_within_rest" in said


def test_the_job_finds_what_is_due_by_an_index(tables, any_database_url):
    """A year of settled refunds must not be read every second to find the one that waits."""
    payment = stored(tables)
    rows = [
        refund_row(payment, number, **{**DONE, "return_id": f"D{number}"}) for number in range(1500)
    ]
    tables.insert(Refund, *rows)
    tables.insert(Refund, refund_row(payment, 2000))
    asked = "SELECT id FROM refunds WHERE ask_at <= '2027-01-01' ORDER BY ask_at, id LIMIT 50"
    if any_database_url.startswith("sqlite"):
        plan = str(tables.rows(f"EXPLAIN QUERY PLAN {asked}"))
        assert "ix_refunds_due" in plan
        assert "TEMP B-TREE" not in plan
    else:
        tables.change("ANALYZE TABLE refunds" if "mysql" in any_database_url else "ANALYZE refunds")
        assert "ix_refunds_due" in str(tables.rows(f"EXPLAIN {asked}"))
