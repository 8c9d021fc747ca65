"""A small storm of webhooks: the good receiver misses nothing."""

from __future__ import annotations

import pytest

from tests.faults.webhook_storm import StormSize, WebhookStorm, open_shops
from tests.support.databases import create_database

pytestmark = [pytest.mark.slow, pytest.mark.mysql]

SIZE = StormSize(payments=40, events_per_second=1000, stop_seconds=2)


def test_the_good_receiver_hears_of_everything(serve, private_server, tmp_path):
    """In order per payment; what comes twice has the same id and the same bytes."""
    server = private_server("mysql")
    url = create_database(server.url)
    one = serve(DATABASE_URL=url, instance=tmp_path / "one", is_first_start=True)
    other = serve(DATABASE_URL=url, instance=tmp_path / "other")
    with open_shops(hanging_seconds=20) as shops:
        report = WebhookStorm(SIZE, one, other, server, shops).run()
    report.check()
    assert len(report.delays) == 2 * SIZE.payments
    assert "Traceback" not in one.log()
