"""The list of Pix of API Pix: one statement for a page, which reads the index of its order."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from db_models import Payment, Receipt, Refund
from repository.database import reading
from repository.pix import PixFilters, PixReceipts
from tests.db.tables import NOON, Tables, payment_row
from tests.support.clocks import FrozenClock
from tests.support.plugin import ENGINES
from tests.support.service import PIX_KEY, close_app, ready_app, settings_for

RECEIPTS = 3000
OTHERS = 3000
"""Receipts of nobody, so that the merchant is worth a look into an index."""
INDEX = "ix_receipts_settled"
BIA = "12345678909"


def receipt_row(number, **fields):
    """An accepted receipt for a static code, one each second."""
    return {
        "end_to_end_id": f"E{number:031d}",
        "bank_payment_id": None,
        "pix_key": PIX_KEY,
        "reference": None,
        "payment_id": None,
        "merchant_id": None,
        "amount_centavos": 1000 + number,
        "paid_at": NOON + timedelta(seconds=number),
        "told_at": NOON + timedelta(seconds=number),
        "payer_document": None,
        "verdict": "accepted",
        "reason": None,
        **fields,
    }


@pytest.fixture(scope="module", params=ENGINES)
def shop(request, module_database, tmp_path_factory):
    """A service with many receipts: of a payment with two refunds, and for static codes.

    The tests of an engine share it, because they only read.
    """
    url = module_database(request.param)
    app = ready_app(settings_for(url, tmp_path_factory.mktemp("instance")), FrozenClock())
    tables = Tables(url)
    merchant = tables.merchant_id()
    paid = {"status": "confirmed", "resolved_at": NOON, "end_to_end_id": f"E{0:031d}"}
    tables.insert(Payment, payment_row(merchant, txid="a" * 32, amount_centavos=1000, **paid))
    [(payment,)] = tables.rows(sa.select(Payment.id))
    charge = {"payment_id": payment, "pix_key": None, "bank_payment_id": "a" * 32}
    rows = [receipt_row(0, merchant_id=merchant, payer_document=BIA, **charge)]
    for number in range(1, RECEIPTS):
        reference = "MESA7" if number % 3 == 0 else None
        rows.append(receipt_row(number, merchant_id=merchant, reference=reference))
    refused = {"verdict": "refused", "reason": "payment-not-found"}
    rows += [receipt_row(number + 10_000, **refused) for number in range(OTHERS)]
    rows.append(receipt_row(50_000, merchant_id=merchant, **refused))
    tables.insert(Receipt, *rows)
    tables.insert(Refund, *(refund_row(payment, name) for name in ("one", "two")))
    analyse = {
        "sqlite": "ANALYZE",
        "mysql": "ANALYZE TABLE receipts",
        "postgresql": "VACUUM ANALYZE receipts",
    }
    with tables.engine.connect() as connection:
        connection.exec_driver_sql(analyse[tables.engine.dialect.name])
    tables.engine.dispose()
    with app.app_context():
        yield merchant
    close_app(app)


def refund_row(payment, refund_id):
    """A refund that waits for the bank."""
    return {
        "payment_id": payment,
        "refund_id": refund_id,
        "bank_refund_id": refund_id,
        "amount_centavos": 100,
        "is_rest": False,
        "status": "processing",
        "requested_at": NOON,
        "ask_at": NOON,
        "attempts": 1,
    }


def filters(**changes):
    """All of the merchant's receipts, or those that these filters leave."""
    return PixFilters(**{"start": NOON, "end": NOON + timedelta(days=1), **changes})


def statements_of(work, question):
    """What `question` answers, and the statements that it runs."""
    statements = []

    def store(_connection, _cursor, statement, parameters, _context, _many):
        if statement != "BEGIN":
            statements.append((statement, parameters))

    bind = work.session.get_bind()
    sa.event.listen(bind, "before_cursor_execute", store)
    try:
        answer = question()
    finally:
        sa.event.remove(bind, "before_cursor_execute", store)
    return answer, statements


def test_a_page_its_total_and_its_refunds_are_one_statement(shop):
    """Also past the end, where only the total is left."""
    with reading() as work:
        pix = PixReceipts(work)
        (page, total), statements = statements_of(work, lambda: pix.page(shop, filters(), 0, 1000))
        assert len(statements) == 1
        assert total == RECEIPTS
        numbers = [one.receipt.amount_centavos for one in page]
        assert numbers == [1000 + number for number in range(1000)]
        assert [refund.refund_id for refund in page[0].refunds] == ["one", "two"]
        assert (page[0].txid, page[1].txid, page[3].txid) == ("a" * 32, None, "MESA7")
        last, total = pix.page(shop, filters(), 2900, 1000)
        assert (len(last), total) == (100, RECEIPTS)
        assert pix.page(shop, filters(), 3000, 1000) == ([], RECEIPTS)


@pytest.mark.parametrize(
    ("changes", "total"),
    [
        ({"txid": "a" * 32}, 1),
        ({"txid": "MESA7"}, 999),
        ({"txid": "mesa7"}, 0),
        ({"has_txid": True}, 1000),
        ({"has_txid": False}, 2000),
        ({"has_refund": True}, 1),
        ({"has_refund": False}, 2999),
        ({"document": BIA}, 1),
        ({"document": BIA, "has_txid": False}, 0),
        ({"start": NOON + timedelta(seconds=10), "end": NOON + timedelta(seconds=12)}, 3),
        ({"end": NOON + timedelta(seconds=12, microseconds=-1)}, 12),
    ],
)
def test_filters(shop, changes, total):
    """Both ends of the span are inclusive, to the millisecond that answers show."""
    with reading() as work:
        page, counted = PixReceipts(work).page(shop, filters(**changes), 0, 1000)
    assert (min(total, 1000), total) == (len(page), counted)


def test_a_page_reads_the_index_of_settlement(shop):
    """The page needs no sort: the index has its order."""
    with reading() as work:
        span = filters(end=NOON + timedelta(seconds=60))
        question = lambda: PixReceipts(work).page(shop, span, 0, 100)  # noqa: E731
        _, [(statement, parameters)] = statements_of(work, question)
        name = work.session.get_bind().dialect.name
        explain = {"sqlite": "EXPLAIN QUERY PLAN ", "mysql": "EXPLAIN ", "postgresql": "EXPLAIN "}
        rows = work.session.connection().exec_driver_sql(explain[name] + statement, parameters)
        plan = "\n".join(" ".join(map(str, row)) for row in rows)
    assert len(re.findall(rf"\b{INDEX}\b", plan)) >= 2, plan
    receipts_are_scanned = {
        "sqlite": r"SCAN receipts",
        "mysql": r"\breceipts ALL\b",
        "postgresql": r"Seq Scan on receipts",
    }
    assert not re.search(receipts_are_scanned[name], plan), plan
