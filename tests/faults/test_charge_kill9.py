"""kill -9 while a charge is opened at a real bank: one charge there, one payment, one code."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
import sqlalchemy as sa
import urllib3

from core.clock import SystemClock
from db_models import Payment, ProviderCharge
from tests.db.tables import Tables
from tests.faults.storm import wait_until
from tests.providers.at_stand_in import enrol
from tests.providers.stand_in import Fault, StandInBank

pytestmark = pytest.mark.slow


def create(service):
    """Create a payment under the one key of this test; None if the service dies meanwhile."""
    with suppress(urllib3.exceptions.HTTPError):
        return urllib3.request(
            "POST",
            f"{service.url}/payments/pix",
            json={"value": "54.90"},
            headers={"Idempotency-Key": "one-key"},
            retries=False,
            timeout=20,
        )
    return None


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("fault", "puts_before"),
    [
        pytest.param(Fault("token", "delay", seconds=4), 0, id="between the commit and the PUT"),
        pytest.param(
            Fault("put-cob", "delay", after=True, seconds=4), 1, id="between the PUT and its answer"
        ),
    ],
)
def test_a_killed_service_opens_the_same_charge(serve, fresh_database, fault, puts_before):
    """The next process goes on after the lease, and the shop's key finishes its payment."""
    url = fresh_database("sqlite")
    with StandInBank("efi") as bank:
        service = serve(DATABASE_URL=url)
        tables = Tables(url)
        service.kill()
        enrol(tables, bank)
        bank.faults.append(fault)
        service.start()
        threading.Thread(target=create, args=(service,), daemon=True).start()
        wait_until(lambda: bank.count(fault.operation), 20, "the call")
        wait_until(lambda: len(bank.book.puts) == puts_before, 20, "the charge at the bank")
        service.kill()
        [(txid, status)] = tables.rows(sa.select(ProviderCharge.txid, ProviderCharge.status))
        assert status == "opening"
        due = {"next_at": SystemClock().now()}
        tables.change(sa.update(ProviderCharge.__table__).values(**due))
        service.start()
        statuses = sa.select(ProviderCharge.status)
        wait_until(lambda: tables.rows(statuses) == [("open",)], 30, "the open charge")
        assert bank.book.puts == [txid]
        [(br_code, has_location)] = tables.rows(sa.select(Payment.br_code, Payment.has_location))
        assert has_location
        assert bank.book.charges[txid]["location"] in br_code
        answers = [create(service) for _ in range(2)]
        assert [answer.status for answer in answers] == [201, 201], answers[0].data
        assert answers[0].data == answers[1].data
        assert answers[0].json()["payment"]["id"] == txid
        assert answers[0].json()["payment"]["pix_code"] == br_code
        assert service.stop() == 0
    assert "Traceback" not in service.log()
