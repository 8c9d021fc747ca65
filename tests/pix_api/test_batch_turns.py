"""Merchants whose batches wait at the same time have turns."""

from __future__ import annotations

import pytest

from blueprints.pix_api import batch_work
from tests.pix_api.batches import WAITING, BatchCalls
from tests.pix_api.clients import demo_client, new_client
from tests.portal.signing import KEYS, make_account
from tests.support.api_pix import PixApi

MANY = 3 * batch_work.SHARE


@pytest.fixture
def shops(each_app):
    """The demo merchant, for whom many charges wait, and Alice with one, which came last."""
    api = PixApi(client=each_app.test_client(), token=demo_client(each_app).token(each_app))
    demo = BatchCalls(each_app, api, each_app.config["BALCAO"].demo_pix_key)
    make_account(each_app, "alice")
    token = new_client(each_app, "alice").token(each_app)
    alice = BatchCalls(each_app, api.as_bearer(token), KEYS["alice"])
    demo.put(1, *(demo.charge(number) for number in range(MANY)))
    alice.put(1, alice.charge(MANY))
    return demo, alice


def work_on(shop, most):
    """Carry out this many requests."""
    goes_on = iter([True] * most + [False])
    with shop.app.app_context():
        return batch_work.work_on_waiting(lambda: next(goes_on))


def test_a_single_charge_does_not_wait_for_the_full_queue_of_another_merchant(shops):
    demo, alice = shops
    assert work_on(demo, 2 * batch_work.SHARE) == 2 * batch_work.SHARE
    assert WAITING not in alice.statuses(1)
    assert demo.work() == MANY + 1 - 2 * batch_work.SHARE
    assert demo.work() == 0


def test_a_run_begins_where_the_last_one_stopped(shops):
    """Runs are short, and the first merchant must not be the first of each."""
    demo, alice = shops
    for _ in range(3):
        work_on(demo, 5)
    assert WAITING not in alice.statuses(1)
    assert WAITING in demo.statuses(1)
