"""Two processes of the service on one database, each with its own sweep and relay."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
import sqlalchemy as sa

from core.clock import SystemClock
from db_models import Payment, PaymentEvent
from tests.db.tables import Tables, payment_row
from tests.faults.storm import wait_until

pytestmark = pytest.mark.slow

DUE = 300
ENGINES = [
    pytest.param("mysql", id="mariadb", marks=pytest.mark.mysql),
    pytest.param("postgres", id="postgres", marks=pytest.mark.postgres),
]


@pytest.mark.parametrize("engine", ENGINES)
def test_two_sweeping_processes_expire_each_payment_once(serve, fresh_database, tmp_path, engine):
    """Both see the same due rows in the same second; each watcher must get one expiry."""
    url = fresh_database(engine)
    services = [serve(DATABASE_URL=url, instance=tmp_path / str(n)) for n in range(2)]
    tables = Tables(url)
    now = SystemClock().now()
    deadlines = [now + timedelta(seconds=2, milliseconds=10 * n) for n in range(DUE)]
    rows = [
        payment_row(tables.merchant_id(), created_at=now, expires_at=deadline)
        for deadline in deadlines
    ]
    tables.insert(Payment, *rows)
    expired = sa.select(sa.func.count()).where(Payment.status == "expired")
    wait_until(lambda: tables.rows(expired)[0][0] == DUE, 30, "every due payment expired")
    unannounced = sa.select(sa.func.count()).where(PaymentEvent.relay_at.is_not(None))
    wait_until(lambda: tables.rows(unannounced)[0][0] == 0, 20, "every event marked as announced")
    events = tables.events(*(row["txid"] for row in rows))
    assert Counter(event.name for event in events) == {"payment.expired": DUE}
    assert len({event.txid for event in events}) == DUE
    assert all(event.occurred_at > row for event, row in zip(events, deadlines, strict=True))
    for service in services:
        assert service.stop() == 0
        assert "Traceback" not in service.log()
