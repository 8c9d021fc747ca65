"""A small storm of webhooks: the good receiver misses nothing, and the metrics say so."""

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
    (tmp_path / "metrics").mkdir()
    shared = {"DATABASE_URL": url, "PROMETHEUS_MULTIPROC_DIR": tmp_path / "metrics"}
    one = serve(**shared, instance=tmp_path / "one", is_first_start=True)
    other = serve(**shared, instance=tmp_path / "other")
    with open_shops(hanging_seconds=20) as shops:
        report = WebhookStorm(SIZE, one, other, server, shops).run()
        report.check()
        assert len(report.delays) == 2 * SIZE.payments
        # The killed process has left its file, so its deliveries count too.
        delivered = 'balcao_webhook_deliveries_total{outcome="delivered"}'
        assert metric(one, delivered) >= 2 * SIZE.payments * 0.9
        assert metric(one, 'balcao_webhook_deliveries_total{outcome="gone"}') == 1
    assert "Traceback" not in one.log()


def metric(service, series):
    """The sum of a counter over the processes."""
    lines = service.get("/metrics", accept="text/plain")[1].decode().splitlines()
    [value] = [line.rsplit(" ", 1)[1] for line in lines if line.startswith(f"{series} ")]
    return float(value)
