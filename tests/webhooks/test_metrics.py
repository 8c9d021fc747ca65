"""The metrics of webhooks, over real deliveries."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from db_models import PaymentEvent, WebhookEndpoint
from repository.database import in_unit_of_work
from tests.webhooks.shops import open_shop, send_all
from webhooks.measures import measure_backlog
from webhooks.numbering import number_events


@pytest.fixture
def shop(clock):
    """Alice's server."""
    with open_shop(clock) as shop:
        yield shop


@pytest.fixture
def metrics(app, client):
    """The samples of /metrics about webhooks, after the gauges were set: metrics() → dict."""

    def read():
        with app.app_context():
            measure_backlog()
        lines = client.get("/metrics").text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("balcao_webhook_"))
        return {name.removeprefix("balcao_webhook_"): float(value) for name, value in pairs}

    return read


def create_webhook(client, url):
    """Create a webhook of the demo merchant."""
    answer = client.post("/webhooks", json={"url": url})
    assert answer.status_code == 201, answer.text
    return answer.get_json()


def test_deliveries_and_attempts_are_counted_by_what_came_back(
    app, client, shop, make_payment, metrics, clock
):
    """Delivered, failed and gone; each attempt by the class of its answer."""
    before = metrics()
    outcomes = ("delivered", "failed", "gone")
    assert [before[f'deliveries_total{{outcome="{name}"}}'] for name in outcomes] == [0, 0, 0]
    create_webhook(client, shop.url)
    create_webhook(client, "http://127.0.0.1:9/")
    make_payment()
    send_all(app, clock)  # a ping and an event
    answers: list[tuple[int, dict[str, str]]] = [(500, {}), (404, {}), (404, {}), (404, {})]
    shop.answer = lambda _: answers.pop(0)
    make_payment()
    for _ in range(4):
        send_all(app, clock)
        clock.advance(hours=3)
    shop.answer = lambda _: (410, {})
    make_payment()
    send_all(app, clock)

    counted = metrics()

    assert [counted[f'deliveries_total{{outcome="{name}"}}'] for name in outcomes] == [2, 1, 1]
    assert counted['attempts_total{answer="2xx"}'] == 2
    assert counted['attempts_total{answer="5xx"}'] == 1
    assert counted['attempts_total{answer="4xx"}'] == 3 + 1
    assert counted['attempts_total{answer="none"}'] >= 2
    names = {name.split("{")[0] for name in counted}
    labels = {name.split("{")[1].split("=")[0] for name in counted if "{" in name}
    assert labels <= {"outcome", "answer", "le"}, "no label may name a merchant or an endpoint"
    assert {"lag_seconds", "deliveries_pending", "endpoints_paused", "events_unnumbered"} <= names


def test_the_time_to_the_first_delivery_begins_with_the_event(
    app, client, shop, make_payment, metrics, clock
):
    """Neither pings, nor later attempts, nor what somebody asks for again are in it."""
    create_webhook(client, shop.url)
    send_all(app, clock)  # the ping
    make_payment()
    clock.advance(seconds=4)
    send_all(app, clock)
    counted = metrics()
    assert counted["first_delivery_seconds_count"] == 1
    assert counted['first_delivery_seconds_bucket{le="2.5"}'] == 0
    assert counted['first_delivery_seconds_bucket{le="5.0"}'] == 1

    shop.answer = lambda _: (500, {})
    make_payment()
    send_all(app, clock)
    shop.answer = lambda _: (200, {})
    clock.advance(seconds=10)
    send_all(app, clock)
    webhook = client.get("/webhooks").get_json()["data"][0]
    delivery = client.get(f"/webhooks/{webhook['id']}/deliveries").get_json()["data"][0]
    assert client.post(f"/webhooks/deliveries/{delivery['id']}/redeliver").status_code < 300
    send_all(app, clock)

    counted = metrics()
    assert counted["first_delivery_seconds_count"] == 1
    assert counted['deliveries_total{outcome="delivered"}'] == 4


def test_the_gauges_show_what_waits(app, client, shop, make_payment, metrics, clock):
    """Unnumbered events, pending deliveries, and since when the oldest is due."""
    webhook = create_webhook(client, shop.url)
    send_all(app, clock)
    make_payment()
    assert metrics()["events_unnumbered"] == 1
    with app.app_context():
        assert number_events() == 1
    clock.advance(seconds=7)
    make_payment()
    with app.app_context():
        assert number_events() == 1
    values = metrics()
    assert (values["events_unnumbered"], values["deliveries_pending"]) == (0, 2)
    assert values["lag_seconds"] == 7

    def change(**values):
        with app.app_context():
            in_unit_of_work(
                lambda work: work.session.execute(update(WebhookEndpoint).values(**values))
            )

    change(failing_since=clock.now())  # its receiver lags, and not the service
    values = metrics()
    assert (values["lag_seconds"], values["deliveries_pending"]) == (0, 2)
    change(paused_at=clock.now())
    values = metrics()
    assert (values["endpoints_paused"], values["deliveries_pending"]) == (1, 0)
    change(paused_at=None, failing_since=None)
    send_all(app, clock)
    assert client.delete(f"/webhooks/{webhook['id']}").status_code < 300
    values = metrics()
    assert [values[name] for name in ("lag_seconds", "deliveries_pending", "endpoints_paused")] == [
        0,
        0,
        0,
    ]


def test_a_clock_that_is_set_back_gives_no_negative_times(
    app, client, shop, make_payment, metrics, clock
):
    """Prometheus would take a negative sum for a restart."""
    create_webhook(client, shop.url)
    send_all(app, clock)
    make_payment()
    with app.app_context():
        in_unit_of_work(
            lambda work: work.session.execute(
                update(PaymentEvent).values(occurred_at=clock.now() + timedelta(hours=1))
            )
        )
    send_all(app, clock)

    counted = metrics()
    assert counted["first_delivery_seconds_count"] == 1
    assert counted["first_delivery_seconds_sum"] == 0
