"""Webhooks from the merchant's side: create, receive, look, send again."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from config import parts_of
from core.clock import rfc3339
from db_models import AuditEntry, IdempotentRequest, WebhookEndpoint
from payments.sweep import expire_batch
from repository.database import reading
from tests.http.checks import fields, problem, public_view
from tests.webhooks.shops import open_shop, send_all
from webhooks import endpoints
from webhooks.pruning import forget_old_deliveries
from webhooks.secrets import SecretBox
from webhooks.slots import PER_ENDPOINT


@pytest.fixture
def shop(clock):
    """Alice's server."""
    with open_shop(clock) as shop:
        yield shop


@pytest.fixture
def webhook(client, shop):
    """Alice's webhook for all events; its ping is still due."""
    answer = client.post("/webhooks", json={"url": shop.url})
    assert answer.status_code == 201, answer.text
    shop.secrets.append(answer.get_json()["secret"])
    return answer.get_json()


def deliveries_of(client, webhook, **query):
    """The deliveries of a webhook, newest first."""
    answer = client.get(f"/webhooks/{webhook['id']}/deliveries", query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.get_json()["data"]


def test_a_shop_hears_of_a_payment_from_its_creation_on(
    app, client, bank, shop, webhook, make_payment, clock
):
    """Signed, in order, with the ids of the feed."""
    payment = make_payment(order_id="order-1", metadata={"cart": "7"})
    assert bank.confirm(payment).status_code == 200

    send_all(app, clock)

    assert shop.types() == ["payment.created", "payment.confirmed"]
    assert "ping" in [event["type"] for event in shop.events]
    feed = client.get("/events").get_json()["data"]
    assert feed == [event for event in shop.events if event["type"] != "ping"]
    created, confirmed = (event["data"] for event in feed)
    assert (created["status"], confirmed["status"]) == ("pending", "confirmed")
    assert created["metadata"] == {"cart": "7"}
    assert (created["sequence"], confirmed["sequence"]) == (1, 2)
    now = client.get(f"/payments/pix/{payment['id']}", headers={"Accept": "application/json"})
    assert now.get_json()["payment"] == public_view(confirmed)


def test_a_body_shows_the_state_at_the_event_and_not_the_present_one(
    app, client, bank, shop, webhook, make_payment, clock
):
    """A delivery that comes late must still say what happened then, byte for byte."""
    shop.answer = lambda _: (500, {})
    payment = make_payment()
    send_all(app, clock)
    [first] = [body for body in shop.bodies if b"payment.created" in body]
    bank.confirm(payment)
    shop.answer = lambda _: (200, {})
    clock.advance(seconds=10)

    send_all(app, clock)

    again = [body for body in shop.bodies if b"payment.created" in body]
    assert again == [first, first]
    assert shop.types() == ["payment.created", "payment.created", "payment.confirmed"]


def test_a_later_event_waits_for_an_earlier_one_of_its_payment_only(
    app, bank, shop, webhook, make_payment, clock
):
    """Order per payment; another payment does not wait."""
    waiting, other = make_payment(), make_payment()
    shop.answer = lambda event: (500 if event["data"].get("id") == waiting["id"] else 200, {})
    bank.confirm(waiting)
    bank.confirm(other)
    send_all(app, clock)

    ids = [(event["data"]["id"], event["type"]) for event in shop.events if event["type"] != "ping"]
    assert (waiting["id"], "payment.confirmed") not in ids
    assert ids.count((other["id"], "payment.created")) == 1
    assert ids.count((other["id"], "payment.confirmed")) == 1

    shop.answer = lambda _: (200, {})
    clock.advance(seconds=10)
    send_all(app, clock)
    clock.advance(seconds=1)
    send_all(app, clock)

    types = [event["type"] for event in shop.events if event["data"].get("id") == waiting["id"]]
    assert types[-2:] == ["payment.created", "payment.confirmed"]


def test_an_endpoint_gets_the_types_it_wants(app, client, bank, shop, make_payment, clock):
    """A filter; what happens later to an older payment counts too."""
    early = make_payment()
    clock_webhook = client.post(
        "/webhooks", json={"url": shop.url, "events": ["payment.confirmed"]}
    ).get_json()
    assert clock_webhook["events"] == ["payment.confirmed"]
    bank.confirm(early)
    bank.confirm(make_payment())

    send_all(app, clock)

    assert shop.types() == ["payment.confirmed", "payment.confirmed"]


def test_every_event_has_the_object_that_it_is_about(app, client, bank, shop, webhook, clock):
    """Payments, refused receipts, and money without a payment."""
    payment = client.post("/payments/pix", json={"value": 10}).get_json()["payment"]
    assert bank.confirm(payment, value="9.99").status_code == 400
    cancelled = client.post(f"/payments/pix/{payment['id']}/cancel")
    assert cancelled.status_code == 200
    expiring = client.post("/payments/pix", json={"value": 10, "expires_in": 10}).get_json()
    clock.advance(seconds=11)
    with app.app_context():
        assert expire_batch(10) == (1, 1)

    send_all(app, clock)

    by_type = {event["type"]: event["data"] for event in shop.events}
    assert by_type["receipt.refused"]["payment_id"] == payment["id"]
    assert by_type["receipt.refused"]["reason"] == "amount-mismatch"
    assert by_type["receipt.refused"]["amount_centavos"] == 999
    assert by_type["payment.cancelled"]["status"] == "cancelled"
    assert by_type["payment.expired"]["id"] == expiring["payment"]["id"]
    assert (by_type["payment.expired"]["status"], by_type["payment.expired"]["sequence"]) == (
        "expired",
        2,
    )


def test_what_came_back_can_be_looked_at(app, client, shop, webhook, clock):
    """The developer sees request and answer of each attempt, and no signature."""
    shop.answer = lambda _: (503, {"Retry-After": "2", "Server": "shop/1"})
    send_all(app, clock)

    [delivery] = deliveries_of(client, webhook)

    assert (delivery["type"], delivery["kind"], delivery["status"]) == ("ping", "ping", "pending")
    [attempt] = delivery["attempts"]
    assert (attempt["status"], attempt["error"]) == (503, None)
    assert attempt["response_headers"]["retry-after"] == "2"
    assert delivery["request_headers"]["webhook-signature"] == "v1,***"
    assert json.loads(delivery["request_body"])["data"] == {"webhook_id": webhook["id"]}
    assert shop.headers[0]["webhook-signature"] not in json.dumps(delivery)
    assert deliveries_of(client, webhook, status="delivered") == []


def test_a_receiver_that_does_not_answer_leaves_a_code(app, client, clock):
    """A port where nobody listens."""
    webhook = client.post("/webhooks", json={"url": "http://127.0.0.1:9/"}).get_json()

    send_all(app, clock)

    [delivery] = deliveries_of(client, webhook)
    assert delivery["attempts"][0]["error"] == "connection-refused"
    assert delivery["attempts"][0]["status"] is None


def test_410_disables_and_patch_enables_again(app, client, shop, webhook, make_payment, clock):
    """The receiver says that it is gone for good; its merchant decides."""
    shop.answer = lambda _: (410, {})
    send_all(app, clock)
    stored = client.get(f"/webhooks/{webhook['id']}").get_json()
    assert (stored["enabled"], stored["disabled_reason"]) == (False, "gone")
    problem(client.post(f"/webhooks/{webhook['id']}/ping"), 409, "webhook-disabled")
    make_payment()
    send_all(app, clock)
    shop.answer = lambda _: (200, {})
    changed = client.patch(f"/webhooks/{webhook['id']}", json={"enabled": True}).get_json()
    assert (changed["enabled"], changed["disabled_reason"]) == (True, None)
    assert client.post(f"/webhooks/{webhook['id']}/ping").status_code == 201

    send_all(app, clock)

    assert [event["type"] for event in shop.events] == ["ping", "ping"]


def test_a_4xx_is_tried_twice_more_and_then_rests_until_somebody_redelivers(
    app, client, shop, webhook, clock
):
    """Repeating what a receiver refuses for good helps nobody."""
    shop.answer = lambda _: (422, {})
    for _ in range(5):
        send_all(app, clock)
        clock.advance(hours=1)
    [delivery] = deliveries_of(client, webhook)
    assert (delivery["status"], len(delivery["attempts"])) == ("failed", 3)

    shop.answer = lambda _: (200, {})
    answer = client.post(f"/webhooks/deliveries/{delivery['id']}/redeliver")
    assert answer.status_code == 201
    send_all(app, clock)

    newest, _ = deliveries_of(client, webhook)
    assert newest["status"] == "delivered"


def test_three_days_without_a_success_pause_an_endpoint(app, client, shop, webhook, clock):
    """It is not asked for ever; its events are collected, and sent when it is switched on again."""
    shop.answer = lambda _: (500, {})
    for _ in range(90):
        send_all(app, clock)
        clock.advance(hours=1)
    stored = client.get(f"/webhooks/{webhook['id']}").get_json()
    assert stored["disabled_reason"] == "paused"
    requests = len(shop.events)
    client.post("/payments/pix", json={"value": 10})
    clock.advance(hours=30)
    send_all(app, clock)
    assert len(shop.events) == requests

    shop.answer = lambda _: (200, {})
    client.patch(f"/webhooks/{webhook['id']}", json={"enabled": True})
    send_all(app, clock)

    assert shop.types() == ["payment.created"]


def test_after_a_rotation_both_secrets_sign_for_a_day(app, client, shop, webhook, clock):
    """The developer exchanges the secret without losing an event."""
    rotated = client.post(f"/webhooks/{webhook['id']}/rotate")
    assert rotated.status_code == 200
    new_secret = rotated.get_json()["secret"]
    assert new_secret != webhook["secret"]
    shop.secrets.append(new_secret)
    send_all(app, clock)
    assert len(shop.events) == 1

    clock.advance(hours=24, seconds=1)
    client.post(f"/webhooks/{webhook['id']}/ping")
    send_all(app, clock)
    assert len(shop.events) == 1, "the old secret signs no more"
    shop.secrets.remove(webhook["secret"])
    clock.advance(seconds=10)
    send_all(app, clock)
    assert len(shop.events) == 2


def test_a_window_is_sent_again_with_the_first_ids(app, client, shop, webhook, bank, clock):
    """For a shop that lost its database."""
    send_all(app, clock)  # the ping
    start = clock.now()
    payment = client.post("/payments/pix", json={"value": 10}).get_json()["payment"]
    clock.advance(minutes=1)
    bank.confirm(payment)
    send_all(app, clock)
    first = shop.events[1:]
    window = {"from": rfc3339(start), "to": rfc3339(start + timedelta(seconds=30))}
    part = client.post(f"/webhooks/{webhook['id']}/replay", json=window)
    assert part.get_json()["deliveries"] == 1
    send_all(app, clock)
    assert shop.events[3:] == first[:1]

    everything = client.post(
        f"/webhooks/{webhook['id']}/replay", json={"from": rfc3339(start)}
    ).get_json()
    assert everything["deliveries"] == 2
    send_all(app, clock)
    clock.advance(seconds=1)
    send_all(app, clock)
    assert shop.events[4:] == first

    backwards = {"from": window["to"], "to": window["from"]}
    wrong = problem(client.post(f"/webhooks/{webhook['id']}/replay", json=backwards), 400)
    assert fields(wrong) == ["to"]


def test_a_deleted_webhook_gets_nothing_more(app, client, shop, webhook, make_payment, clock):
    """Also not what was waiting while the last request was under way."""
    send_all(app, clock)
    for _ in range(5):
        make_payment()

    def answer(_event):
        client.delete(f"/webhooks/{webhook['id']}")
        return 200, {}

    shop.answer = answer
    send_all(app, clock)

    assert 1 <= len(shop.types()) <= PER_ENDPOINT


def test_a_changed_address_holds_for_the_next_event(
    app, client, shop, webhook, make_payment, clock
):
    """Events that wait go to the new address."""
    shop.answer = lambda _: (500, {})
    make_payment()
    send_all(app, clock)
    with open_shop(clock) as new_shop:
        client.patch(f"/webhooks/{webhook['id']}", json={"url": new_shop.url})
        clock.advance(seconds=10)
        send_all(app, clock)
        assert new_shop.types() == ["payment.created"]


def test_a_clock_that_is_set_back_hides_no_event(app, client, shop, webhook, make_payment, clock):
    """New events then look older than the webhook."""
    send_all(app, clock)
    clock.advance(hours=-1)
    shop.secrets.clear()  # the signature's time is not the subject
    make_payment()
    send_all(app, clock)
    assert shop.types() == ["payment.created"]


def test_null_changes_nothing(client, webhook):
    """Clients write null for what they do not set."""
    path = f"/webhooks/{webhook['id']}"
    nulls = dict.fromkeys(("url", "events", "description", "enabled"))
    assert client.patch(path, json=nulls).get_json() == client.get(path).get_json()
    window = {"from": "2026-01-01T00:00:00Z", "to": None}
    assert client.post(f"{path}/replay", json=window).status_code == 201


def test_what_waits_for_one_webhook_has_a_bound(client, webhook, monkeypatch):
    """A merchant cannot fill the database with pings to a receiver that never answers."""
    monkeypatch.setattr(endpoints, "PENDING_MAX", 3)
    path = f"/webhooks/{webhook['id']}/ping"
    assert [client.post(path).status_code for _ in range(2)] == [201, 201]
    problem(client.post(path), 409, "too-many-deliveries")


def test_a_secret_under_another_key_is_a_clear_error(app, client, shop, clock):
    """The operator has changed SECRET_KEY: sending says so, and a rotation mends it."""
    headers = {"Idempotency-Key": "hook-1"}
    webhook = client.post("/webhooks", json={"url": shop.url}, headers=headers).get_json()
    with app.app_context():
        parts = parts_of(app).webhooks
        vars(parts.secrets).update(vars(SecretBox("another secret key of 32 characters")))
    again = client.post("/webhooks", json={"url": shop.url}, headers=headers)
    problem(again, 409, "secret-unreadable")
    send_all(app, clock)
    [delivery] = deliveries_of(client, webhook)
    assert delivery["attempts"][0]["error"] == "secret-unreadable"
    assert shop.events == []
    shop.secrets.append(client.post(f"/webhooks/{webhook['id']}/rotate").get_json()["secret"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "http://169.254.169.254/latest/"}, "url"),
        ({"url": "http://127.0.0.1:9/", "events": []}, "events"),
        ({"url": "http://127.0.0.1:9/", "events": ["payment.lost"]}, "events"),
        ({"url": "http://127.0.0.1:9/", "events": ["ping", "ping"]}, "events"),
        ({"url": "http://127.0.0.1:9/", "description": "x" * 141}, "description"),
        ({"url": "http://127.0.0.1:9/", "secret": "mine"}, "secret"),
    ],
    ids=str,
)
def test_a_wrong_webhook_is_refused_with_its_field(client, body, field):
    """And nothing is stored."""
    wrong = problem(client.post("/webhooks", json=body), 400, "invalid-request")

    assert any(name.startswith(field) for name in fields(wrong))
    assert client.get("/webhooks").get_json() == {"data": [], "next": None}


def test_a_shop_has_at_most_ten_webhooks(client):
    """A bound, and room again after a deletion."""
    ids = [
        client.post("/webhooks", json={"url": "http://127.0.0.1:9/"}).get_json() for _ in range(10)
    ]
    problem(client.post("/webhooks", json={"url": "http://127.0.0.1:9/"}), 409, "too-many-webhooks")
    assert client.delete(f"/webhooks/{ids[3]['id']}").status_code == 204
    problem(client.get(f"/webhooks/{ids[3]['id']}"), 404, "webhook-not-found")
    assert client.post("/webhooks", json={"url": "http://127.0.0.1:9/"}).status_code == 201


def test_a_repeated_creation_gives_the_same_secret_and_stores_none(app, client, shop):
    """Under an Idempotency-Key; the database never has a secret that can be read."""
    headers = {"Idempotency-Key": "hook-1"}
    first = client.post("/webhooks", json={"url": shop.url}, headers=headers)
    again = client.post("/webhooks", json={"url": shop.url}, headers=headers)

    assert again.get_json() == first.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(client.get("/webhooks").get_json()["data"]) == 1
    secret = first.get_json()["secret"].removeprefix("whsec_")
    with app.app_context(), reading() as work:
        for table in (WebhookEndpoint, IdempotentRequest, AuditEntry):
            rows = work.connection.execute(select(table.__table__)).all()
            assert rows
            assert secret not in str(rows)


def test_old_deliveries_and_deleted_webhooks_are_pruned(
    app, client, shop, webhook, clock, settings
):
    """DELIVERY_DAYS; events stay in the feed."""
    client.post("/payments/pix", json={"value": 10})
    send_all(app, clock)
    clock.advance(days=settings.delivery_days - 1)
    with app.app_context():
        assert forget_old_deliveries(settings, lambda: True) == 0
        clock.advance(days=1)
        assert forget_old_deliveries(settings, lambda: True) == 2
    assert deliveries_of(client, webhook) == []
    assert len(client.get("/events").get_json()["data"]) == 1

    client.post(f"/webhooks/{webhook['id']}/ping")
    client.delete(f"/webhooks/{webhook['id']}")
    with app.app_context():
        assert forget_old_deliveries(settings, lambda: True) == 1
