"""Races of batches of charges on every engine: several workers, and clients beside them."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
import sqlalchemy as sa

from db_models import ChargeBatchRequest, Payment
from tests.db.crowd import at_once
from tests.pix_api.batches import CREATED, BatchCalls, txid_of
from tests.pix_api.clients import demo_client
from tests.support.api_pix import PixApi

pytestmark = pytest.mark.slow

ITEMS = 24


@pytest.fixture
def crowd(processes):
    """The demo merchant's batches in each of the four processes."""
    every = []
    for number in range(4):
        app = processes.app(number)
        api = PixApi(client=app.test_client(), token=demo_client(app).token(app))
        every.append(BatchCalls(app, api, app.config["BALCAO"].demo_pix_key))
    return every


def txids_of_payments(processes):
    """The txids of all charges."""
    query = sa.select(Payment.charge_txid).order_by(Payment.charge_txid)
    return [row.charge_txid for row in processes.tables.rows(query)]


def test_four_workers_make_one_charge_of_each_item(crowd, processes):
    crowd[0].put(1, *(crowd[0].charge(number) for number in range(ITEMS)))

    at_once([calls.work for calls in crowd])
    crowd[0].work()  # what a conflict has left

    assert crowd[0].statuses(1) == [CREATED] * ITEMS
    assert txids_of_payments(processes) == [txid_of(number) for number in range(ITEMS)]
    assert processes.tables.rows(sa.select(ChargeBatchRequest.id)) == []


def test_the_newest_request_counts_while_workers_work(crowd, processes):
    """A revision beside the workers is neither lost nor overwritten by an older request."""
    old = [crowd[0].charge(number) for number in range(ITEMS)]
    new = [crowd[0].charge(number, valor={"original": "7.00"}) for number in range(ITEMS)]
    crowd[0].put(1, *old)

    workers = [crowd[0].work, crowd[1].work]
    patch = partial(crowd[2].patch, 1, *new[: ITEMS // 2])
    *_, answer = at_once([*workers, patch, partial(crowd[3].put, 1, *new)])
    crowd[0].work()

    assert answer.status in (202, 503)
    if answer.status == 503:
        assert crowd[3].put(1, *new).status == 202
        crowd[0].work()
    assert crowd[0].statuses(1) == [CREATED] * ITEMS
    assert txids_of_payments(processes) == [txid_of(number) for number in range(ITEMS)]
    values = sa.select(Payment.amount_centavos)
    assert Counter(row[0] for row in processes.tables.rows(values)) == {700: ITEMS}


def test_one_batch_gets_a_txid_that_four_want(crowd, processes):
    """And one txid makes one charge, also if `PUT /cobv` comes in between."""
    charge = crowd[0].charge(1)
    body = {name: value for name, value in charge.items() if name != "txid"}
    answers = at_once(
        [partial(calls.put, number, charge) for number, calls in enumerate(crowd[:3])]
        + [partial(crowd[3].api.put, f"/cobv/{txid_of(1)}", body)]
    )
    crowd[0].work()

    assert {answer.status for answer in answers} <= {201, 202, 400, 503}
    assert [answer.status for answer in answers[:3]].count(202) <= 1
    assert len(txids_of_payments(processes)) == 1


def test_one_of_four_creates_the_batch_and_the_others_revise_it(crowd, processes):
    """A client that repeats a request because of a timeout gets no error."""
    charges = [crowd[0].charge(number) for number in range(5)]
    answers = at_once([partial(calls.put, 1, *charges) for calls in crowd])
    crowd[0].work()

    assert {answer.status for answer in answers} <= {202, 503}
    assert crowd[0].statuses(1) == [CREATED] * 5
    assert len(txids_of_payments(processes)) == 5
