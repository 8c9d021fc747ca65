"""Callbacks of API Pix: what a shop hears of its money, in the standard's form."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts.access import DEMO_LOGIN
from config import parts_of
from core.clock import rfc3339
from db_models import (
    Account,
    DeliveryStatus,
    EndpointKind,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)
from repository.database import in_unit_of_work, reading
from repository.webhook_deliveries import WebhookDeliveries
from tests.http.checks import CHARLIES_KEY, add_merchant
from tests.support.api_pix import check_callback
from tests.support.service import PIX_KEY, end_to_end_id
from tests.support.town import town
from tests.webhooks.shops import open_shop, send_all
from webhooks import endpoints, pix_endpoints
from webhooks.pix_callbacks import GROUP_MAX, callback_url

CHARGE = {"payer": {"name": "Bia Andrade", "document": "12345678909"}}


@pytest.fixture
def shop(clock):
    """Alice's server; what it got must have the form of the official document."""
    with open_shop(clock) as shop:
        yield shop
        for event in shop.events:
            check_callback(event)


@pytest.fixture
def registered(app, shop):
    """Alice's address for callbacks, registered for her key."""
    return register(app, shop.url)


def register(app, url, key=PIX_KEY, login=DEMO_LOGIN):
    """Set a merchant's address for callbacks; returns the endpoint."""
    with app.app_context():
        return in_unit_of_work(lambda work: pix_endpoints.put(work, account(work, login), key, url))


def account(work, login=DEMO_LOGIN):
    """A merchant by login."""
    merchant = work.accounts.find_by_login(login)
    assert merchant is not None
    return merchant


def static_money(bank, clock, **fields):
    """R$ 12.34 for a static code of Alice; returns the end_to_end_id."""
    body = {
        "pix_key": PIX_KEY,
        "value": "12.34",
        "end_to_end_id": end_to_end_id(),
        "paid_at": rfc3339(clock.now()),
        **fields,
    }
    assert bank.tell(body).status_code == 200
    return body["end_to_end_id"]


def callbacks(shop):
    """All Pix that came, in order."""
    return [pix for event in shop.events for pix in event["pix"]]


def test_a_paid_charge_is_told_in_the_words_of_the_standard(
    app, bank, shop, registered, make_payment, clock
):
    """POST {webhookUrl}/pix, without a signature, with what the payer wrote."""
    payment = make_payment()
    paid_at = rfc3339(clock.now())
    e2eid = end_to_end_id()
    answer = bank.confirm(
        payment, end_to_end_id=e2eid, paid_at=paid_at, payer_message="Obrigada!", **CHARGE
    )
    assert answer.status_code == 200

    send_all(app, clock)

    assert shop.paths == ["/hook/pix"]
    assert shop.events == [
        {
            "pix": [
                {
                    "endToEndId": e2eid,
                    "txid": payment["id"],
                    "valor": "54.90",
                    "componentesValor": {"original": {"valor": "54.90"}},
                    "chave": PIX_KEY,
                    "horario": paid_at,
                    "infoPagador": "Obrigada!",
                }
            ]
        }
    ]
    assert shop.headers[0]["content-type"] == "application/json"
    assert not any(name.startswith("webhook-") for name in shop.headers[0])


def test_money_for_a_static_code_is_told_if_the_code_has_a_txid(app, bank, shop, registered, clock):
    """A Pix without txid is not sent: the shop lists it (API Pix 2.9.0, Webhook)."""
    static_money(bank, clock)
    with_txid = static_money(bank, clock, reference="MESA7")

    send_all(app, clock)

    assert [(pix["endToEndId"], pix["txid"]) for pix in callbacks(shop)] == [(with_txid, "MESA7")]


def test_attached_money_is_not_told_twice(app, client, bank, shop, registered, clock):
    """It was told when it came, and the payment that it gets is of our side alone."""
    e2eid = static_money(bank, clock, reference="MESA7")
    send_all(app, clock)
    answer = client.post(f"/payments/pix/receipts/{e2eid}/attach", json={"order_id": "7"})
    assert answer.status_code == 200, answer.text

    send_all(app, clock)

    assert [pix["endToEndId"] for pix in callbacks(shop)] == [e2eid]


def test_only_the_key_of_the_address_is_told(app, bank, shop, registered, make_payment, clock):
    """Charlie's address gets nothing of Alice, and Alice's nothing after she changed her key."""
    add_merchant(app)
    with open_shop(clock) as charlies:
        register(app, charlies.url, CHARLIES_KEY, "charlie")
        bank.confirm(make_payment())
        send_all(app, clock)
        assert (len(callbacks(shop)), charlies.events) == (1, [])
        with app.app_context():
            key = {"pix_key": "nova@example.com"}
            in_unit_of_work(
                lambda work: work.session.execute(
                    sa.update(Account).where(Account.pix_key == PIX_KEY).values(**key)
                )
            )
        bank.confirm(make_payment())
        send_all(app, clock)
        assert (len(callbacks(shop)), charlies.events) == (1, [])


def test_what_is_due_at_once_shares_a_call_and_each_delivery_is_booked(
    app, bank, shop, registered, make_payment, clock
):
    """At most GROUP_MAX in a call; every delivery has its own attempt and its own end."""
    number = GROUP_MAX + 3
    for _ in range(number):
        bank.confirm(make_payment())

    send_all(app, clock)

    assert [len(event["pix"]) for event in shop.events] == [GROUP_MAX, 3]
    assert len({pix["endToEndId"] for pix in callbacks(shop)}) == number
    with app.app_context(), reading() as work:
        statuses = work.session.scalars(sa.select(WebhookDelivery.status)).all()
        attempts = work.session.scalars(sa.select(WebhookAttempt)).all()
    assert list(statuses) == [DeliveryStatus.DELIVERED] * number
    assert len({attempt.delivery_id for attempt in attempts}) == len(attempts) == number
    assert {attempt.url for attempt in attempts} == {f"{shop.url}/pix"}


def test_what_failed_together_is_sent_together_again_with_the_same_bytes(
    app, bank, shop, registered, make_payment, clock
):
    """After 5 s, 30 s, 2 min, 10 min, 1 h and then hourly; a 4xx and a 410 are failures too."""
    for status in (500, 404, 410, 302):
        shop.answer = lambda _, status=status: (status, {})
        if status == 500:
            for _ in range(2):
                bank.confirm(make_payment())
        else:
            clock.advance(minutes=12)
        send_all(app, clock)
    shop.answer = lambda _: (204, {})
    clock.advance(hours=2)
    send_all(app, clock)

    assert [len(event["pix"]) for event in shop.events] == [2] * 5
    assert len(set(shop.bodies)) == 1
    with app.app_context(), reading() as work:
        statuses = work.session.scalars(sa.select(WebhookDelivery.status)).all()
        [endpoint] = work.session.scalars(sa.select(WebhookEndpoint)).all()
    assert list(statuses) == [DeliveryStatus.DELIVERED] * 2
    assert endpoint.enabled is True


def test_the_last_attempt_is_a_day_after_the_first(
    app, bank, shop, registered, make_payment, clock
):
    """Then the delivery rests, until somebody sends it again in the portal."""
    shop.answer = lambda _: (503, {})
    bank.confirm(make_payment())
    began_at = clock.now()
    for _ in range(125):
        send_all(app, clock)
        clock.advance(minutes=15)

    assert len(shop.events) == 29
    with app.app_context(), reading() as work:
        [delivery] = work.session.scalars(sa.select(WebhookDelivery)).all()
    assert delivery.status == DeliveryStatus.FAILED
    assert delivery.ended_at - began_at > timedelta(hours=22)


def test_a_pix_that_the_receiver_cannot_take_is_soon_sent_alone(
    app, bank, shop, registered, make_payment, clock
):
    """Otherwise one bad Pix would hold up all others that share its calls."""
    bad = make_payment()
    shop.answer = lambda event: (
        500 if bad["id"] in [pix["txid"] for pix in event["pix"]] else 200,
        {},
    )
    bank.confirm(bad)
    for _ in range(5):
        bank.confirm(make_payment())

    for _ in range(10):
        send_all(app, clock)
        clock.advance(hours=1, minutes=10)

    with app.app_context(), reading() as work:
        statuses = sorted(work.session.scalars(sa.select(WebhookDelivery.status)).all())
    assert statuses == [DeliveryStatus.DELIVERED] * 5 + [DeliveryStatus.PENDING]


def test_refunds_that_end_are_told_with_all_refunds_as_they_stood(fresh_database, tmp_path):
    """DEVOLVIDO and NAO_REALIZADO; a body that comes late still shows the state at its event."""
    with town(fresh_database("sqlite"), tmp_path) as here, open_shop(here.clock) as shop:
        register(here.app, shop.url)
        shop.answer = lambda _: (500, {})
        payment = here.paid(value="10.00")
        for refund_id in ("primeira", "segunda"):
            refund = here.refund(payment, value="4.00", refund_id=refund_id)
            assert refund.get_json()["status"] == "done"
        send_all(here.app, here.clock)
        shop.answer = lambda _: (200, {})
        shop.events.clear()
        here.clock.advance(hours=2)

        send_all(here.app, here.clock)

        refunds = [
            [(one["id"], one["status"]) for one in pix.get("devolucoes", [])]
            for pix in callbacks(shop)
        ]
        first, second = ("primeira", "DEVOLVIDO"), ("segunda", "DEVOLVIDO")
        assert refunds == [[], [first], [first, second]]
        returned = callbacks(shop)[1]["devolucoes"][0]
        assert returned["rtrId"].startswith("D")
        assert (returned["valor"], returned["natureza"]) == ("4.00", "ORIGINAL")
        assert set(returned["horario"]) == {"solicitacao", "liquidacao"}


def test_the_merchants_own_api_does_not_list_the_address(client, registered):
    """`GET /webhooks` shows webhooks of our own events; API Pix shows its own."""
    assert client.get("/webhooks").get_json()["data"] == []
    assert client.get(f"/webhooks/{registered.public_id}").status_code == 404
    answer = client.post(f"/webhooks/{registered.public_id}/rotate")
    assert answer.status_code == 404


def test_a_second_put_replaces_the_address_and_a_deleted_one_frees_its_key(app, shop, registered):
    """One address for each key."""
    again = register(app, f"{shop.url}/other")
    assert (again.id, again.url) == (registered.id, f"{shop.url}/other")
    with app.app_context():

        def delete(work):
            endpoints.delete(work, account(work), again)

        in_unit_of_work(delete)
    assert register(app, shop.url).id != registered.id


def test_the_portal_lists_its_deliveries_and_sends_one_again(
    app, bank, shop, registered, make_payment, clock
):
    """Bookkeeping, metrics and pruning are those of all webhooks."""
    bank.confirm(make_payment())
    send_all(app, clock)
    with app.app_context():

        def again(work):
            alice = account(work)
            [delivery] = WebhookDeliveries(work).of_endpoint(registered.id, None, None, 9).items
            return endpoints.redeliver(work, alice, delivery, registered)

        in_unit_of_work(again)
    send_all(app, clock)

    assert shop.bodies[0] == shop.bodies[1]
    delivered = parts_of(app).metrics.webhooks.deliveries.labels("delivered")
    assert delivered._value.get() == 2


@pytest.mark.parametrize(
    ("registered_url", "called_url"),  # of the Pix of a key; the other two differ in the last word
    [
        ("https://a.example/b", "https://a.example/b/pix"),
        ("https://a.example/b/", "https://a.example/b/pix"),
        ("https://a.example/", "https://a.example/pix"),
        ("https://a.example/pix", "https://a.example/pix/pix"),
        ("https://a.example/b?token=1", "https://a.example/b/pix?token=1"),
        ("https://a.example/b?ignorar=", "https://a.example/b?ignorar=/pix"),
        ("https://a.example/b?token=1&ignorar=", "https://a.example/b?token=1&ignorar=/pix"),
        ("https://a.example/b?ignorar=1", "https://a.example/b/pix?ignorar=1"),
        ("https://a.example/b?naoignorar=", "https://a.example/b/pix?naoignorar="),
    ],
)
def test_where_a_callback_goes(registered_url, called_url):
    """The suffix is the bank's, with one slash; the query stays at the end."""
    assert callback_url(registered_url, EndpointKind.PIX) == called_url
    for kind in (EndpointKind.REC, EndpointKind.COBR):
        in_place_of_pix = f"/{kind}".join(called_url.rsplit("/pix", 1))
        assert callback_url(registered_url, kind) == in_place_of_pix


def test_a_body_is_utf_8(app, bank, shop, registered, make_payment, clock):
    """As the bodies of all webhooks: names have accents."""
    bank.confirm(make_payment(), payer_message="São João")
    send_all(app, clock)
    assert "São João".encode() in shop.bodies[0]
    assert json.loads(shop.bodies[0]) == shop.events[0]
