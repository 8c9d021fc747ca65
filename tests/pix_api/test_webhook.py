"""`/webhook`: a shop registers where it hears of its money."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.clock import rfc3339
from tests.accounts.people import audit_rows
from tests.http.checks import CHARLIES_KEY, add_merchant
from tests.pix_api.clients import demo_client, new_client
from tests.support.api_pix import PixApi
from tests.support.service import PIX_KEY
from tests.webhooks.shops import open_shop, send_all

URL = "https://pix.example.com/api/webhook/"
ALICE = f"/webhook/{PIX_KEY}"


@pytest.fixture
def api(app, client):
    """API Pix for the demo merchant, with every answer checked."""
    return PixApi(client=client, token=demo_client(app).token(app))


@pytest.fixture
def charlie(app, client):
    """API Pix for another merchant, whose key is an e-mail address."""
    add_merchant(app)
    return PixApi(client=client, token=new_client(app, "charlie").token(app))


def test_put_get_delete(api, clock):
    """One address for each key; a second PUT replaces the first and keeps its creation."""
    created = rfc3339(clock.now())
    assert api.put(ALICE, {"webhookUrl": URL}).status == 200
    assert api.get(ALICE).json == {"webhookUrl": URL, "chave": PIX_KEY, "criacao": created}
    clock.advance(minutes=1)
    assert api.put(ALICE, {"webhookUrl": f"{URL}2"}).status == 200
    assert api.get(ALICE).json["webhookUrl"] == f"{URL}2"
    assert api.get(ALICE).json["criacao"] == created
    assert api.delete(ALICE).status == 204
    for answer in (api.get(ALICE), api.delete(ALICE)):
        assert (answer.status, answer.kind) == (404, "WebhookNaoEncontrado")
    assert api.put(ALICE, {"webhookUrl": URL}).status == 200


@pytest.mark.parametrize("key", [CHARLIES_KEY, "charlie%40example.com"])
def test_a_key_may_be_encoded_or_raw(charlie, key):
    """SDKs write `@` and `+` of keys into the path as they are."""
    assert charlie.put(f"/webhook/{key}", {"webhookUrl": URL}).status == 200
    assert charlie.get(f"/webhook/{CHARLIES_KEY}").json["chave"] == CHARLIES_KEY


@pytest.mark.parametrize("spelling", ["+5511987654321", "%2B5511987654321"])
def test_a_telephone_number_may_be_encoded_or_raw(app, client, spelling):
    """A raw plus in a path is a plus, and no space."""
    add_merchant(app, "phone", "+5511987654321")
    api = PixApi(client=client, token=new_client(app, "phone").token(app))
    assert api.put(f"/webhook/{spelling}", {"webhookUrl": URL}).status == 200
    assert api.get("/webhook/+5511987654321").json["chave"] == "+5511987654321"


@pytest.mark.parametrize(
    ("key", "body", "violations"),
    [
        (CHARLIES_KEY, {"webhookUrl": URL}, ["chave"]),
        ("no-key", {"webhookUrl": URL}, ["chave"]),
        (PIX_KEY, {}, ["webhook.webhookUrl"]),
        (PIX_KEY, {"webhookUrl": 7}, ["webhook.webhookUrl"]),
        (PIX_KEY, {"webhookUrl": "ftp://a.example.com/"}, ["webhook.webhookUrl"]),
        (PIX_KEY, {"webhookUrl": "https://user@a.example.com/"}, ["webhook.webhookUrl"]),
        (PIX_KEY, {"webhookUrl": "http://169.254.169.254/"}, ["webhook.webhookUrl"]),
        (PIX_KEY, {"webhookUrl": f"https://a.example.com/{'a' * 2030}"}, ["webhook.webhookUrl"]),
        ("no-key", {"webhookUrl": "a"}, ["chave", "webhook.webhookUrl"]),
    ],
)
def test_a_wrong_webhook_is_refused_with_every_violation(api, charlie, key, body, violations):
    """WebhookOperacaoInvalida; also for the key of another merchant, who keeps what he has."""
    assert charlie.put(f"/webhook/{CHARLIES_KEY}", {"webhookUrl": URL}).status == 200
    answer = api.put(f"/webhook/{key}", body)
    assert (answer.status, answer.kind) == (400, "WebhookOperacaoInvalida")
    assert answer.violations == violations
    assert charlie.get(f"/webhook/{CHARLIES_KEY}").json["webhookUrl"] == URL


def test_another_merchants_webhook_does_not_exist(api, charlie):
    """Neither to read nor to delete."""
    assert charlie.put(f"/webhook/{CHARLIES_KEY}", {"webhookUrl": URL}).status == 200
    for answer in (api.get(f"/webhook/{CHARLIES_KEY}"), api.delete(f"/webhook/{CHARLIES_KEY}")):
        assert (answer.status, answer.kind) == (404, "WebhookNaoEncontrado")
    assert charlie.get(f"/webhook/{CHARLIES_KEY}").status == 200


def test_the_list_has_a_span_and_pages(api, clock):
    """`inicio` and `fim` are optional here."""
    assert api.get("/webhook").json["webhooks"] == []
    created_at = clock.now()
    api.put(ALICE, {"webhookUrl": URL})
    answer = api.get("/webhook")
    assert answer.json["webhooks"] == [
        {"webhookUrl": URL, "chave": PIX_KEY, "criacao": rfc3339(created_at)}
    ]
    assert answer.json["parametros"]["paginacao"]["quantidadeTotalDeItens"] == 1
    moment, later = rfc3339(created_at), rfc3339(created_at + timedelta(seconds=1))
    assert len(api.get("/webhook", inicio=moment, fim=moment).json["webhooks"]) == 1
    assert api.get("/webhook", inicio=later).json["webhooks"] == []
    assert api.get("/webhook", **{"paginacao.paginaAtual": 1}).json["webhooks"] == []
    answer = api.get("/webhook", inicio=later, fim=moment)
    assert (answer.status, answer.kind) == (400, "WebhookConsultaInvalida")


def test_what_is_registered_is_called(app, api, bank, make_payment, clock):
    """From the registration on, with the header of other PSPs' dialects ignored."""
    with open_shop(clock) as shop:
        bank.confirm(make_payment())
        headers = {"x-skip-mtls-checking": "true"}
        assert api.put(ALICE, {"webhookUrl": shop.url}, headers=headers).status == 200
        send_all(app, clock)
        payment = make_payment()
        bank.confirm(payment)
        send_all(app, clock)
        assert payment["id"] in [pix["txid"] for body in shop.events for pix in body["pix"]]
        calls = len(shop.events)
        assert api.delete(ALICE).status == 204
        bank.confirm(make_payment())
        send_all(app, clock)
        assert len(shop.events) == calls


def test_every_change_leaves_an_audit_row_with_its_client(app, client, api):
    """Who set an address, and who dropped it, can be read later."""
    for url in (URL, f"{URL}2"):
        api.put(ALICE, {"webhookUrl": url})
    api.delete(ALICE)

    rows = [row for row in audit_rows(app) if row.action.startswith("webhook.")]
    assert [row.action for row in rows] == ["webhook.created", "webhook.changed", "webhook.deleted"]
    key_id = demo_client(app).client_id
    assert {row.details["key"] for row in rows} == {key_id}
    assert [row.details.get("url") for row in rows] == [URL, f"{URL}2", None]
