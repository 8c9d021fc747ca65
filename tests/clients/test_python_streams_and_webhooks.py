"""The Python client's stream and webhooks against the running service."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from balcao import Balcao, errors, verify_webhook
from core.clock import SystemClock
from tests.support.service import DEMO_PASSWORD, ServiceProcess
from tests.webhooks.shops import Shop, open_shop

WITHIN_SECONDS = 20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service for this file."""
    with ServiceProcess(tmp_path_factory.mktemp("client-webhooks")) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Shop]:
    """A receiver on a real socket."""
    with open_shop(SystemClock()) as shop:
        yield shop


def merchant(service: ServiceProcess, login: str) -> Balcao:
    """A new merchant to whom nothing has happened."""
    person = {"username": login, "password": DEMO_PASSWORD}
    stranger = Balcao(service.url, "").transport
    stranger.request("POST", "/users/", body=person)
    token = stranger.request("POST", "/token", form=person).json()["access_token"]
    return Balcao(service.url, token)


def wait_until(condition: Callable[[], bool]) -> None:
    """Raises AssertionError after WITHIN_SECONDS."""
    limit = time.monotonic() + WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_an_event_during_a_restart_before_the_first_event_arrives(service: ServiceProcess):
    """Once with an empty feed and once with an event before: the stream begins where it said."""
    alice = merchant(service, "alice-streams")
    assert list(alice.events.list()) == []
    assert_missed_payment_arrives(service, alice)
    assert list(alice.events.list())
    assert_missed_payment_arrives(service, alice)


def assert_missed_payment_arrives(service: ServiceProcess, shop: Balcao) -> None:
    """The service dies when the stream is connected; the payment comes before the reconnect."""
    count = len(list(shop.events.list()))
    ids: list[str] = []

    def kill_or_create() -> None:
        if not ids:
            service.kill()
        else:  # an event that comes in any case, so that a missed one does not wait for ever
            shop.payments.create(10)

    def restart_and_create(_pause: float) -> None:
        if not ids:
            service.start()
            ids.append("")  # the requests below may pause too
            ids[0] = shop.payments.create(10).id
            wait_until(lambda: len(list(shop.events.list())) > count)

    usual_sleep, shop.transport.sleep = shop.transport.sleep, restart_and_create
    stream = shop.events.stream(give_up_after=WITHIN_SECONDS, on_connect=kill_or_create)

    event = next(stream)

    assert (event.type, event.data["id"]) == ("payment.created", ids[0])
    stream.close()
    shop.transport.sleep = usual_sleep


def test_a_stream_from_the_start_has_what_the_list_has(service: ServiceProcess):
    """A program without a stored id begins with the oldest event."""
    bob = merchant(service, "bob-streams")
    for _ in range(3):
        bob.payments.create(10)
    wait_until(lambda: len(list(bob.events.list())) == 3)

    stream = bob.events.stream(after="start")

    assert [next(stream).id for _ in range(3)] == [event.id for event in bob.events.list()]
    stream.close()


def test_a_webhook_is_created_changed_rotated_and_deleted(service: ServiceProcess, receiver: Shop):
    """Each call is read back from the service; the secret is shown only when it is made."""
    shop = merchant(service, "alice-webhooks")
    created = shop.webhooks.create(
        receiver.url, events=["payment.created"], description="loja", idempotency_key="hook-1"
    )
    assert created.secret is not None
    assert shop.webhooks.create(
        receiver.url, events=["payment.created"], description="loja", idempotency_key="hook-1"
    ).id == created.id  # fmt: skip
    assert (created.events, created.description, created.enabled) == (
        ("payment.created",),
        "loja",
        True,
    )
    wait_until(lambda: len(receiver.events) == 1)
    ping = verify_webhook(receiver.headers[0], receiver.bodies[0], created.secret)
    assert (ping.type, ping.data["webhook_id"]) == ("ping", created.id)

    read = shop.webhooks.get(created.id)
    assert (read.id, read.url, read.secret) == (created.id, receiver.url, None)
    assert [webhook.id for webhook in shop.webhooks.list()] == [created.id]

    changed = shop.webhooks.update(created.id, enabled=False, description="", events=["*"])
    assert changed == shop.webhooks.get(created.id)
    assert (changed.enabled, changed.description, changed.events) == (False, "", ("*",))
    shop.webhooks.update(created.id, enabled=True)

    rotated = shop.webhooks.rotate(created.id)
    assert rotated.secret not in (None, created.secret)
    sent = shop.webhooks.ping(created.id)
    assert sent.raw["type"] == "ping"
    wait_until(lambda: len(receiver.events) == 2)
    for secret in (created.secret, rotated.secret):
        assert secret is not None
        assert verify_webhook(receiver.headers[1], receiver.bodies[1], secret).type == "ping"

    shop.webhooks.delete(created.id)
    shop.webhooks.delete(created.id)
    for call in (shop.webhooks.get, shop.webhooks.ping, shop.webhooks.rotate):
        with pytest.raises(errors.NotFound):
            call(created.id)
    assert list(shop.webhooks.list()) == []


def test_deliveries_are_read_sent_again_and_replayed(service: ServiceProcess, receiver: Shop):
    """The same event over and over, with the same id."""
    shop = merchant(service, "bob-webhooks")
    begun = datetime.now(UTC) - timedelta(minutes=1)
    webhook = shop.webhooks.create(receiver.url, events=["payment.created"])
    payment = shop.payments.create("54.90")
    wait_until(lambda: receiver.types() == ["payment.created"])
    wait_until(lambda: statuses(shop, webhook.id) == ["delivered"] * 2)

    page = shop.webhooks.deliveries(webhook.id, limit=1)
    (delivery,) = page.data
    assert page.next is not None
    (ping,) = shop.webhooks.deliveries(webhook.id, after=page.next).data
    assert (delivery.raw["type"], ping.raw["type"]) == ("payment.created", "ping")
    assert delivery.raw["attempts"][0]["status"] == 200
    assert json.loads(delivery.raw["request_body"])["data"]["id"] == payment.id

    again = shop.webhooks.redeliver(delivery.id)
    assert (again.raw["kind"], again.raw["event_id"]) == ("redelivery", delivery.raw["event_id"])
    wait_until(lambda: len(receiver.types()) == 2)
    assert shop.webhooks.replay(webhook.id, begun, begun + timedelta(seconds=1)) == 0
    assert shop.webhooks.replay(webhook.id, begun) == 1
    wait_until(lambda: len(receiver.types()) == 3)

    ids = {event["id"] for event in receiver.events if event["type"] != "ping"}
    assert ids == {delivery.raw["event_id"]} == {event.id for event in shop.events.list()}
    with pytest.raises(errors.NotFound):
        shop.webhooks.redeliver("0" * 32)


def statuses(shop: Balcao, webhook_id: str) -> list[str]:
    """The status of each delivery."""
    return [delivery.raw["status"] for delivery in shop.webhooks.deliveries(webhook_id).data]


def test_a_stranger_sees_no_webhook_of_another_merchant(service: ServiceProcess, receiver: Shop):
    """For Charlie the id does not exist, whatever Charlie tries."""
    alice, charlie = merchant(service, "alice-owner"), merchant(service, "charlie-webhooks")
    webhook = alice.webhooks.create(receiver.url)

    for call in (charlie.webhooks.get, charlie.webhooks.rotate, charlie.webhooks.ping,
                 charlie.webhooks.deliveries):  # fmt: skip
        with pytest.raises(errors.NotFound):
            call(webhook.id)
    with pytest.raises(errors.NotFound):
        charlie.webhooks.update(webhook.id, enabled=False)
    charlie.webhooks.delete(webhook.id)
    assert alice.webhooks.get(webhook.id).enabled
