"""kill -9 during many confirmations: no answer 200 is lost, and nothing is settled twice."""

from __future__ import annotations

from functools import partial

import pytest

from tests.db.tables import Tables
from tests.faults.settled import check_settled, count_unannounced
from tests.faults.storm import Storm, Watcher, wait_until

pytestmark = pytest.mark.slow

PAYMENTS = 60
POLLED = 10
KILLED_AFTER = (12, 35)  # answers
SETTLED_SECONDS = 60
TOLD_SECONDS = 20


@pytest.mark.timeout(150)
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
