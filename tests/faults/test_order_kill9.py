"""kill -9 while an order waits for the payer's bank: another process sends it again."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from core.clock import SystemClock
from db_models import OrderKind, PayerBankOrder
from tests.db.tables import Tables
from tests.faults.storm import wait_until
from tests.support.payer_bank import payer_bank

pytestmark = pytest.mark.slow


@pytest.mark.timeout(120)
def test_an_order_of_a_killed_service_is_sent_again(serve, fresh_database):
    """The bank had it already: it gets the same bytes, and the order ends once it has answered."""
    url = fresh_database("sqlite")
    go, reached = threading.Event(), threading.Event()

    def wait(_path, _members):
        reached.set()
        go.wait(30)
        return 200, {}

    with payer_bank(SystemClock()) as bank:
        bank.answer = wait
        service = serve(DATABASE_URL=url, BANK_URL=bank.url)
        tables, moment = Tables(url), SystemClock().now()
        row = {
            "kind": OrderKind.MANDATE_CANCEL,
            "subject": "RN9999900420260101abcdefghijk",
            "body": {"id_rec": "RN9999900420260101abcdefghijk"},
            "created_at": moment,
            "next_at": moment,
            "attempts": 0,
        }
        tables.insert(PayerBankOrder, row)
        assert reached.wait(20)
        service.kill()
        go.set()
        [attempts] = tables.rows(sa.select(PayerBankOrder.attempts))
        assert attempts == (1,)
        tables.change(sa.update(PayerBankOrder.__table__).values(next_at=SystemClock().now()))
        service.start()
        rows = sa.select(PayerBankOrder.id)
        wait_until(lambda: tables.rows(rows) == [], 30, "the end of the order")
        assert bank.orders == [("/api/mandates/cancel", row["body"])] * 2
        assert service.stop() == 0
    assert "Traceback" not in service.log()
