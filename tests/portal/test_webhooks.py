"""Webhooks in the portal: endpoints, what was sent to them, and sending again."""

from __future__ import annotations

import html
import json
import re

import pytest
import sqlalchemy as sa

from db_models import EndpointKind, WebhookEndpoint
from repository.database import in_unit_of_work, reading
from repository.webhook_endpoints import WebhookEndpoints
from tests.portal.signing import CONFIRMED, search
from tests.webhooks.shops import open_shop, send_all
from web.zones import SAO_PAULO
from webhooks import pix_endpoints

DEVELOPERS, NEW = "/portal/developers", "/portal/developers/webhooks"


@pytest.fixture
def shop(clock):
    """Alice's server."""
    with open_shop(clock) as shop:
        yield shop


@pytest.fixture
def webhook(alice, shop):
    """The path of Alice's webhook for all events; its ping is still due."""
    page = alice.post(NEW, {"url": shop.url, "events": "*", "description": "Loja virtual"}).text
    shop.secrets.append(search(page, r'id="webhook-secret" readonly value="(whsec_[^"]+)"'))
    return search(page, rf'action="({NEW}/[0-9a-f]{{32}})"')


def marks(page):
    """The status of each delivery on a page, newest first, with its type."""
    return re.findall(r'<span class="mark[^"]*">([^<]+)</span> <code[^>]*>([^<]+)</code>', page)


def row(app):
    """The one endpoint."""
    with app.app_context(), reading() as work:
        return work.session.scalars(sa.select(WebhookEndpoint)).one()


def test_a_new_webhook_shows_its_secret_once_and_gets_a_ping(app, alice, shop, webhook, clock):
    """Who copies the secret can verify the first request, which comes at once."""
    send_all(app, clock)
    assert [event["type"] for event in shop.events] == ["ping"]
    page = alice.get(webhook).text
    assert marks(page) == [("Entregue", "ping")]
    assert shop.secrets[0] not in page
    assert "HTTP 200" in page
    assert "v1,***" in page
    developers = alice.get(DEVELOPERS).text
    assert f'href="{webhook}">{shop.url}<' in developers
    assert "todos os eventos" in developers


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"url": "", "events": "*"}, "Preencha este campo."),
        ({"url": "ftp://a.example/", "events": "*"}, "endereço público"),
        ({"url": "http://169.254.169.254/", "events": "*"}, "endereço público"),
        ({"url": f"https://a.example/{'a' * 2048}", "events": "*"}, "no máximo 2048"),
        ({"url": "https://a.example/", "events": "payment.paid"}, "Escolha ao menos um evento."),
        ({"url": "https://a.example/", "events": "*", "description": "x" * 141}, "no máximo 140"),
    ],
)
def test_an_invalid_form_is_shown_again_with_its_error(alice, fields, sentence):
    """In the visitor's words, with what was typed; nothing is created."""
    answer = alice.post(NEW, fields)
    assert answer.status_code == 400
    assert sentence in answer.text
    assert "Ligado" not in alice.get(DEVELOPERS).text


def test_the_eleventh_webhook_is_refused(alice, monkeypatch):
    """Each event costs one delivery for each webhook."""
    monkeypatch.setattr("webhooks.endpoints.ENDPOINTS_MAX", 1)
    fields = {"url": "https://a.example/", "events": "*"}
    assert alice.post(NEW, fields).status_code == 200
    refusal = alice.post(NEW, fields)
    assert refusal.status_code == 409
    assert "apague um antes" in refusal.text


def test_address_events_and_description_are_changed(app, alice, webhook):
    """An empty description deletes the old one; chosen types replace all types."""
    events = ["payment.confirmed", "payment.refunded"]
    fields = {"url": "https://a.example/x", "events": events, "description": ""}
    assert alice.post(webhook, fields).status_code == 303
    changed = row(app)
    assert (changed.url, changed.event_types, changed.description) == (
        "https://a.example/x",
        events,
        "",
    )
    page = alice.get(webhook).text
    assert re.findall(r'name="events" value="([^"]+)" checked', page) == events
    refusal = alice.post(webhook, {"url": "nothing", "events": events})
    assert refusal.status_code == 400
    assert 'value="nothing"' in refusal.text
    assert row(app).url == "https://a.example/x"


def test_saving_the_same_address_does_not_end_a_pause_and_enabling_does(app, alice, webhook, clock):
    """Who corrects the description has not corrected the server."""
    endpoint = row(app)
    values = {"paused_at": clock.now(), "failing_since": clock.now()}
    with app.app_context():
        in_unit_of_work(lambda work: WebhookEndpoints(work.session).change(endpoint.id, values))
    home = alice.get("/portal").text
    assert "Um webhook está pausado" in home
    assert f'href="{webhook}"' in home
    page = alice.get(webhook).text
    assert "Pausado: todos os envios falharam" in page
    assert "/ping" not in page
    fields = {"url": endpoint.url, "events": "*", "description": "x"}
    assert alice.post(webhook, fields).status_code == 303
    assert row(app).paused_at is not None
    assert alice.post(f"{webhook}/switch", {"enabled": "1"}).status_code == 303
    assert (row(app).paused_at, row(app).enabled) == (None, True)
    assert "Um webhook está pausado" not in alice.get("/portal").text


def test_a_disabled_webhook_sends_nothing(app, alice, shop, webhook, charge, clock):
    """A form from before it was disabled is a 409, not a 500."""
    send_all(app, clock)
    assert alice.post(f"{webhook}/switch", {"enabled": "0"}).status_code == 303
    charge()
    send_all(app, clock)
    assert shop.types() == []
    assert "Desligado" in alice.get(webhook).text
    assert alice.post(f"{webhook}/ping").status_code == 409
    assert alice.post(f"{webhook}/replay", {"from": "2020-01-01T00:00"}).status_code == 409


def test_a_failed_delivery_is_shown_with_the_answer_and_sent_again(
    app, alice, shop, webhook, charge, clock
):
    """The developer sees why, repairs the server, and presses *Reenviar*."""
    shop.answer = lambda event: (500 if event["type"] != "ping" else 200, {"Retry-After": "61"})
    payment = charge(order_id="order-<1>")
    send_all(app, clock)
    page = alice.get(webhook).text
    assert ("Na fila", "payment.created") in marks(page)
    for text in ("HTTP 500", "retry-after: 61", "Próxima tentativa:", "order-&lt;1&gt;"):
        assert text in page
    shop.answer = lambda _: (200, {})
    path = search(page, r'action="(/portal/developers/deliveries/[0-9a-f]{32}/redeliver)"')
    assert alice.post(path).status_code == 303
    send_all(app, clock)
    assert marks(alice.get(webhook).text)[0] == ("Entregue", "payment.created")
    assert shop.events[-1]["data"]["id"] == payment["id"]


def test_a_period_is_sent_again(app, alice, shop, webhook, charge, clock):
    """The times are the viewer's; both ends are checked."""
    charge()
    send_all(app, clock)
    assert shop.types() == ["payment.created"]
    local = clock.now().astimezone(SAO_PAULO)
    hour = f"{local:%Y-%m-%dT%H}"
    for form in (
        {"from": ""},
        {"from": "yesterday"},
        {"from": "0001-01-01T00:00"},
        {"from": "9999-12-31T23:59"},
        {"from": f"{hour}:00", "to": "2020-01-01T00:00"},
    ):
        assert alice.post(f"{webhook}/replay", form).status_code == 400, form
    assert alice.post(f"{webhook}/replay", {"from": f"{hour}:00"}).status_code == 303
    send_all(app, clock)
    assert shop.types() == ["payment.created"] * 2
    assert "reenvio de um período" in alice.get(webhook).text


def test_a_replay_of_too_many_events_says_so(alice, webhook, charge, app, clock, monkeypatch):
    """Refused as a whole: half of a period would look like all of it."""
    monkeypatch.setattr("webhooks.endpoints.REPLAY_MAX", 1)
    charge()
    charge()
    send_all(app, clock)
    answer = alice.post(f"{webhook}/replay", {"from": "2020-01-01T00:00"})
    assert answer.status_code == 400
    assert "mais de 1 eventos" in answer.text


def test_rotating_and_deleting_ask_first(app, alice, shop, webhook, clock):
    """A press by mistake must not break the shop's signature, or lose events."""
    question = alice.post(f"{webhook}/rotate")
    assert "Trocar o segredo?" in question.text
    assert row(app).previous_secret is None
    page = alice.post(f"{webhook}/rotate", CONFIRMED).text
    assert search(page, r'value="(whsec_[^"]+)"') not in shop.secrets
    assert "O segredo antigo assina até" in page
    assert "Apagar este webhook?" in alice.post(f"{webhook}/delete").text
    assert row(app).deleted_at is None
    answer = alice.post(f"{webhook}/delete", CONFIRMED)
    assert answer.status_code == 303
    assert "Webhook apagado." in alice.get(answer.location).text
    assert alice.get(webhook).status_code == 404


def test_charlie_sees_and_sends_nothing_of_alices(
    app, alice, charlie, shop, webhook, charge, clock
):
    """Her addresses, events and secrets are hers; her ids are 404s."""
    charge(order_id="order-of-alice")
    send_all(app, clock)
    page = alice.get(webhook).text
    again = search(page, r'action="(/portal/developers/deliveries/[0-9a-f]{32}/redeliver)"')
    posts = [webhook, again, *(f"{webhook}/{deed}" for deed in ("switch", "ping", "replay"))]
    posts += [f"{webhook}/rotate", f"{webhook}/delete"]
    assert charlie.get(webhook).status_code == 404
    for path in posts:
        for fields in ({}, CONFIRMED):
            assert charlie.post(path, fields).status_code == 404, path
    developers = charlie.get(DEVELOPERS).text
    assert shop.url not in developers
    assert "order-of-alice" not in developers
    assert len(shop.events) == 2


def test_the_last_events_are_shown_as_the_feed_has_them(app, alice, client, charge, clock):
    """What a developer reads here is what the program will get."""
    payment = charge(description="<b>Queijo</b>")
    send_all(app, clock)
    page = alice.get(DEVELOPERS).text
    body = json.loads(html.unescape(search(page, r'(?s)<pre class="wire">(.*?)</pre>')))
    assert (body["type"], body["livemode"]) == ("payment.created", False)
    assert body["data"]["id"] == payment["id"]
    assert body["data"]["description"] == "<b>Queijo</b>"
    assert "<b>Queijo" not in page


def test_deliveries_go_page_by_page(app, alice, webhook, clock, monkeypatch):
    """Newest first; an unknown cursor is a 400."""
    monkeypatch.setattr("blueprints.portal.webhook_routes.PAGE", 2)
    for _ in range(2):
        assert alice.post(f"{webhook}/ping").status_code == 303
    first = alice.get(webhook).text
    assert len(marks(first)) == 2
    older = search(first, r'rel="next" href="([^"]+)"').split("#")[0]
    assert len(marks(alice.get(older).text)) == 1
    assert alice.get(f"{webhook}?after=nonsense").status_code == 400


def test_callbacks_of_api_pix_are_shown_but_changed_by_api_pix_alone(
    app, alice, bank, charge, shop, clock
):
    """The portal lists deliveries, sends one again, switches the address off and deletes it."""
    with app.app_context():

        def put(work):
            merchant = work.accounts.find_by_login("alice")
            assert merchant is not None
            return pix_endpoints.put(work, merchant, merchant.pix_key, shop.url)

        endpoint = in_unit_of_work(put)
    path = f"{NEW}/{endpoint.public_id}"
    bank.confirm(charge())
    send_all(app, clock)

    assert f"avisos da API Pix da chave {endpoint.pix_key}" in alice.get(DEVELOPERS).text
    page = alice.get(path).text
    assert marks(page) == [("Entregue", "payment.confirmed")]
    assert f"POST {shop.url}/pix" in page
    assert "webhook-signature" not in page
    for action in ("rotate", "ping", "replay"):
        assert f'action="{path}/{action}"' not in page
        assert alice.post(f"{path}/{action}", CONFIRMED).status_code == 404
    assert alice.post(path, {"url": shop.url, "events": "*"}).status_code == 404
    again = search(page, r'action="(/portal/developers/deliveries/[0-9a-f]{32}/redeliver)"')
    assert alice.post(again, {}).status_code == 303
    send_all(app, clock)
    assert shop.bodies == [shop.bodies[0]] * 2
    assert alice.post(f"{path}/switch", {"enabled": "0"}).status_code == 303
    assert row(app).enabled is False
    assert alice.post(f"{path}/delete", CONFIRMED).status_code == 303
    assert row(app).pix_key is None


@pytest.mark.parametrize(
    ("kind", "words"), [("rec", "recorrências"), ("cobr", "cobranças recorrentes")]
)
def test_addresses_of_pix_automatico_are_listed_and_can_be_switched_off(app, alice, kind, words):
    """The portal says what they get; API Pix alone changes them."""
    with app.app_context():

        def put(work):
            merchant = work.accounts.by_login("alice")
            url = "https://a.example.com/automatic"
            return pix_endpoints.put_sole(work, merchant, EndpointKind(kind), url)

        path = f"{NEW}/{in_unit_of_work(put).public_id}"
    assert f"avisos da API Pix sobre {words}<" in alice.get(DEVELOPERS).text
    page = alice.get(path).text
    assert f"avisos da API Pix sobre {words}<" in page
    for action in ("rotate", "ping", "replay"):
        assert f'action="{path}/{action}"' not in page
        assert alice.post(f"{path}/{action}", CONFIRMED).status_code == 404
    for enabled in ("0", "1"):
        assert alice.post(f"{path}/switch", {"enabled": enabled}).status_code == 303
        assert row(app).enabled is (enabled == "1")
    assert alice.post(f"{path}/delete", CONFIRMED).status_code == 303
    assert row(app).deleted_at is not None
