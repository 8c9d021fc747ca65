"""kill -9 during many notifications: no answer 200 is lost, and nothing is counted twice."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from tests.db.tables import Tables
from tests.faults.settled import check_settled, count_unannounced
from tests.faults.storm import StaticStorm, Storm, Watcher, wait_until
from tests.support.service import PIX_KEY

pytestmark = pytest.mark.slow

PAYMENTS = 60
POLLED = 10
KILLED_AFTER = (12, 35)  # answers
SETTLED_SECONDS = 60
TOLD_SECONDS = 20


@pytest.mark.timeout(150)
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # see Watcher.__exit__
def test_a_service_killed_in_a_storm_keeps_every_answer_it_gave(serve, any_database_url):
    """After a failed deploy, the kernel's OOM killer or an empty battery, the till is right."""
    service = serve(DATABASE_URL=any_database_url)
    tables = Tables(any_database_url)
    payments = [service.create(order_id=f"order-{n}") for n in range(PAYMENTS)]
    with (
        Watcher(service, payments, "websocket") as one,
        Watcher(service, payments[:POLLED], "polling") as other,
        Storm(service, payments) as storm,
    ):
        for answers in KILLED_AFTER:
            wait_until(partial(storm.has_accepted, answers), 30, f"{answers} answers")
            service.kill()
            assert not storm.is_over()
            for txid in storm.confirmed():
                assert tables.payment(txid).status == "confirmed"
            service.start()
        wait_until(storm.is_over, SETTLED_SECONDS, "every notification answered")
        check_settled(tables, storm)
        for watcher in (one, other):
            wait_until(watcher.knows_all, TOLD_SECONDS, "the watcher knows all")
        assert one.heard
        wait_until(
            lambda: count_unannounced(tables) == 0, TOLD_SECONDS, "every event marked as announced"
        )
    assert service.stop() == 0
    assert "Traceback" not in service.log()


@pytest.mark.timeout(100)
def test_money_for_a_static_code_survives_a_kill(serve, any_database_url):
    """A poster at the counter has no payment that could say later that money is missing."""
    service = serve(DATABASE_URL=any_database_url, DEMO_PIX_KEY=PIX_KEY)
    tables = Tables(any_database_url)
    with StaticStorm(service, PIX_KEY, count=30) as storm:
        wait_until(partial(storm.has_accepted, 10), 30, "10 answers")
        service.kill()
        service.start()
        wait_until(storm.is_over, SETTLED_SECONDS, "every notification answered")
        rows = tables.rows(
            "SELECT r.end_to_end_id, r.amount_centavos, e.name FROM receipts r"
            " JOIN payment_events e ON e.receipt_id = r.id"
        )
        wait_until(
            lambda: count_unannounced(tables) == 0, TOLD_SECONDS, "every event marked as announced"
        )
    assert storm.refusals == []
    expected = {
        (fields["end_to_end_id"], payment["value"] * 100, "receipt.received"): 1
        for payment, fields in storm.notices
    }
    assert Counter(map(tuple, rows)) == expected
    assert tables.rows("SELECT COUNT(*) FROM receipts")[0][0] == len(storm.notices)
