"""`/webhookrec` and `/webhookcobr`: a shop registers where it hears of Pix Automático."""

from __future__ import annotations

import pytest

from core.clock import rfc3339
from tests.accounts.people import audit_rows
from tests.http.checks import add_merchant
from tests.pix_api.clients import demo_client, new_client
from tests.support.api_pix import PixApi
from tests.support.service import PIX_KEY
from tests.webhooks.shops import open_shop, send_all

URL = "https://pix.example.com/api/automatic/"
WRONG_TYPES = {
    "webhookrec": "WebhookRecOperacaoInvalida",
    "webhookcobr": "WebhookCobROperacaoInvalida",
}


@pytest.fixture(params=WRONG_TYPES)
def name(request):
    """Each of the two resources, which behave alike."""
    return request.param


@pytest.fixture
def api(app, client):
    """API Pix for the demo merchant, with every answer checked."""
    return PixApi(client=client, token=demo_client(app).token(app))


@pytest.fixture
def charlie(app, client):
    """API Pix for another merchant."""
    add_merchant(app)
    return PixApi(client=client, token=new_client(app, "charlie").token(app))


def test_put_get_delete(api, name, clock):
    """One address for each account; a second PUT replaces the first and keeps its creation."""
    path, created = f"/{name}", rfc3339(clock.now())
    assert api.put(path, {"webhookUrl": URL}).status == 200
    assert api.get(path).json == {"webhookUrl": URL, "criacao": created}
    clock.advance(minutes=1)
    assert api.put(path, {"webhookUrl": f"{URL}2"}).status == 200
    assert api.get(path).json == {"webhookUrl": f"{URL}2", "criacao": created}
    assert api.delete(path).status == 204
    for answer in (api.get(path), api.delete(path)):
        assert (answer.status, answer.kind) == (404, "NaoEncontrado")
    assert api.put(path, {"webhookUrl": URL}).status == 200
    assert api.get(path).json["criacao"] == rfc3339(clock.now())


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"webhookUrl": None},
        {"webhookUrl": 7},
        {"webhookUrl": "ftp://a.example.com/"},
        {"webhookUrl": "https://user@a.example.com/"},
        {"webhookUrl": "http://169.254.169.254/"},
        {"webhookUrl": f"https://a.example.com/{'a' * 2030}"},
    ],
)
def test_a_wrong_address_is_refused_and_the_old_one_stays(api, name, body):
    """By the rules of `/webhook/{chave}`; the error has a type of its own."""
    assert api.put(f"/{name}", {"webhookUrl": URL}).status == 200
    answer = api.put(f"/{name}", body)
    assert (answer.status, answer.kind) == (400, WRONG_TYPES[name])
    assert answer.violations == [f"{name}.webhookUrl"]
    assert api.get(f"/{name}").json["webhookUrl"] == URL


def test_an_address_has_room_for_its_suffix(api):
    """2048 characters are the most that a request goes to; `/cobr` is one longer than `/rec`."""
    longest = "https://a.example.com/".ljust(2048 - len("/rec"), "a")
    assert api.put("/webhookrec", {"webhookUrl": longest}).status == 200
    assert api.put("/webhookcobr", {"webhookUrl": longest}).status == 400


def test_the_three_kinds_of_addresses_do_not_disturb_each_other(api):
    """Setting or dropping one leaves the others, and `GET /webhook` lists those of keys."""
    paths = (f"/webhook/{PIX_KEY}", "/webhookrec", "/webhookcobr")
    for number, path in enumerate(paths):
        assert api.put(path, {"webhookUrl": f"{URL}{number}"}).status == 200
    urls = [api.get(path).json["webhookUrl"] for path in paths]
    assert urls == [f"{URL}{number}" for number in range(3)]
    assert [one["webhookUrl"] for one in api.get("/webhook").json["webhooks"]] == [f"{URL}0"]
    assert api.delete("/webhookrec").status == 204
    assert [api.get(path).status for path in paths] == [200, 404, 200]


def test_each_account_has_its_own(api, charlie, name):
    """Nobody reads, replaces or drops another merchant's address."""
    assert charlie.put(f"/{name}", {"webhookUrl": URL}).status == 200
    for answer in (api.get(f"/{name}"), api.delete(f"/{name}")):
        assert (answer.status, answer.kind) == (404, "NaoEncontrado")
    assert api.put(f"/{name}", {"webhookUrl": f"{URL}alice"}).status == 200
    assert charlie.get(f"/{name}").json["webhookUrl"] == URL


@pytest.mark.parametrize("other", ["webhook", "webhookrec", "webhookcobr"])
def test_each_resource_has_scopes_of_its_own(app, client, name, other):
    """Who may set the address of a key may not set those of Pix Automático, nor the reverse."""
    token = demo_client(app).token(app, scope=f"{other}.read {other}.write")
    api = PixApi(client=client, token=token)
    allowed = 200 if other == name else 403
    assert api.put(f"/{name}", {"webhookUrl": URL}).status == allowed
    assert api.get(f"/{name}").status == allowed
    assert api.delete(f"/{name}").status == (204 if other == name else 403)


def test_these_addresses_get_nothing_of_other_money(app, api, name, bank, make_payment, clock):
    """Neither our own events nor the Pix of a key."""
    with open_shop(clock) as shop:
        assert api.put(f"/{name}", {"webhookUrl": shop.url}).status == 200
        bank.confirm(make_payment())
        send_all(app, clock)
        assert shop.events == []


def test_our_own_interface_does_not_list_them(api, name, client):
    """`GET /webhooks` has what it can change."""
    assert api.put(f"/{name}", {"webhookUrl": URL}).status == 200
    assert client.get("/webhooks").json["data"] == []


def test_every_change_leaves_an_audit_row_with_its_client(app, api, name):
    """Who set an address, and who dropped it, can be read later."""
    for url in (URL, f"{URL}2"):
        api.put(f"/{name}", {"webhookUrl": url})
    api.delete(f"/{name}")

    rows = [row for row in audit_rows(app) if row.action.startswith("webhook.")]
    assert [row.action for row in rows] == ["webhook.created", "webhook.changed", "webhook.deleted"]
    assert {row.details["key"] for row in rows} == {demo_client(app).client_id}
    kind = name.removeprefix("webhook")
    assert [row.details.get("kind") for row in rows] == [kind, kind, None]
    assert [row.details.get("url") for row in rows] == [URL, f"{URL}2", None]
