"""kill -9 while a batch of charges is worked on: each charge is created once all the same."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa
import urllib3

from core.clock import SystemClock
from core.pix.business_days import brasilia_day
from db_models import ChargeBatchItem, Payment
from tests.db.tables import Tables
from tests.faults.storm import wait_until
from tests.pix_api.batches import due_body, txid_of
from tests.pix_api.clients import GRANT, TOKEN, PixClient
from tests.support.api_pix import PixApi
from tests.support.service import PIX_KEY

pytestmark = pytest.mark.slow

CLIENT = PixClient("c" * 32, "secret-of-the-demo-client")
ITEMS = 60
KILLED_AFTER = 10
"""Charges; long before the last one."""
SETTLED_SECONDS = 60


@pytest.mark.timeout(150)
def test_a_service_killed_while_it_works_on_a_batch_creates_each_charge_once(
    serve, any_database_url
):
    """None is lost, none comes twice, and nobody has to send the batch again."""
    service = serve(
        DATABASE_URL=any_database_url,
        DEMO_PIX_KEY=PIX_KEY,
        DEMO_CLIENT_ID=CLIENT.client_id,
        DEMO_CLIENT_SECRET=CLIENT.secret,
    )
    tables = Tables(any_database_url)
    api = PixApi(url=service.url, token=token_of(service))
    due = {"dataDeVencimento": str(brasilia_day(SystemClock().now()) + timedelta(days=20))}
    items = [
        {"txid": txid_of(number), **due_body(PIX_KEY, calendario=due)} for number in range(ITEMS)
    ]
    assert api.put("/lotecobv/1", {"descricao": "Mensalidades", "cobsv": items}).status == 202
    wait_until(partial(has_charges, tables, KILLED_AFTER), 30, "the first charges")
    service.kill()
    assert not has_charges(tables, ITEMS)
    service.start()
    statuses = sa.select(ChargeBatchItem.status)
    wait_until(
        lambda: {row.status for row in tables.rows(statuses)} == {"created"},
        SETTLED_SECONDS,
        "every charge",
    )

    txids = [row[0] for row in tables.rows(sa.select(Payment.charge_txid))]
    assert sorted(txids) == [txid_of(number) for number in range(ITEMS)]
    assert tables.rows("SELECT id FROM charge_batch_requests") == []
    assert service.stop() == 0
    assert "Traceback" not in service.log()


def has_charges(tables, number):
    """Whether this many charges exist."""
    return tables.rows("SELECT count(*) AS n FROM payments")[0].n >= number


def token_of(service):
    """A token of the demo merchant's client."""
    answer = urllib3.request("POST", service.url + TOKEN, fields=GRANT, headers=CLIENT.basic())
    return answer.json()["access_token"]
