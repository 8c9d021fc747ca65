"""`return_url`, `cancel_url` and `payer` of a payment: what is allowed, and who reads them."""

from __future__ import annotations

import html
import re

import pytest

from core.outcome_link import with_outcome
from tests.accounts.people import Person
from tests.http.checks import add_merchant, client_of, fields, problem, rows
from tests.support.service import close_app, ready_app, settings_for

SHOP = "https://loja.example/obrigado?carrinho=7"
LEFT = "https://loja.example/carrinho"
CAROL = "52998224725"
JSON = {"Accept": "application/json"}


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://a.example", "https://a.example?payment_id=p1&status=confirmed"),
        ("https://a.example/x?", "https://a.example/x?payment_id=p1&status=confirmed"),
        ("https://a.example/x?b=1", "https://a.example/x?b=1&payment_id=p1&status=confirmed"),
        ("https://a.example/x?b=1&", "https://a.example/x?b=1&payment_id=p1&status=confirmed"),
        ("https://a.example/#/x?b=1", "https://a.example/?payment_id=p1&status=confirmed#/x?b=1"),
        ("https://a.example?b=%C3+&c", "https://a.example?b=%C3+&c&payment_id=p1&status=confirmed"),
    ],
)
def test_the_outcome_joins_the_query_of_the_address(url, link):
    """The shop's own query and fragment stay as they are."""
    assert with_outcome(url, "p1", "confirmed") == link


@pytest.mark.parametrize(
    "query",
    [
        "payment_id=7&b=1",
        "b=1&payment_id=7",
        "payment_id=7&b=1&payment_id=8&status=new",
        "payment%5Fid=7&b=1",
        "payment_id&b=1",
    ],
)
def test_the_outcome_replaces_parameters_of_the_same_name(query):
    """PHP reads the last of two values and URLSearchParams the first: there must be one."""
    link = with_outcome(f"https://a.example/x?{query}#payment_id=9", "p1", "confirmed")
    assert link == "https://a.example/x?b=1&payment_id=p1&status=confirmed#payment_id=9"


def test_a_parameter_with_a_longer_name_stays():
    """Only the two names are taken."""
    link = with_outcome("https://a.example?my_payment_id=1&Status=2", "p1", "expired")
    assert link == "https://a.example?my_payment_id=1&Status=2&payment_id=p1&status=expired"


@pytest.mark.parametrize("field", ["return_url", "cancel_url"])
@pytest.mark.parametrize(
    "url",
    [
        "https://loja.example/" + "x" * 479,
        "https://loja.example:8443/a?b=%C3%A7#c",
        "http://localhost:3000/ok",
        "http://127.0.0.1/ok",
        "http://[::1]:1/ok",
    ],
)
def test_an_address_of_a_shop_is_stored(client, field, url):
    """Up to 500 characters; in development a shop may run on the same computer."""
    answer = client.post("/payments/pix", json={"value": 1, field: url})
    assert answer.status_code == 201, answer.text
    assert answer.json["payment"][field] == url


@pytest.mark.parametrize("field", ["return_url", "cancel_url"])
@pytest.mark.parametrize(
    "url",
    [
        "https://loja.example/" + "x" * 480,
        "http://loja.example/",
        "http://localhost.evil.example/",
        "https://ana:senha@loja.example/",
        "https://ana@loja.example/",
        "https://loja.example\\@evil.example/",
        "https://loja.example/a b",
        "https://loja.example/\n",
        "https://loja.example/ç",
        "https://loja.example:0/",
        "https://loja.example:65536/",
        "https://",
        "https:///x",
        "//loja.example/",
        "/obrigado",
        "javascript:alert(1)",
        "ftp://loja.example/",
        "",
        7,
    ],
)
def test_any_other_address_is_refused_by_name(client, app, field, url):
    """The page leads shoppers there, so it must be what it looks like."""
    before = rows(app)
    refusal = problem(client.post("/payments/pix", json={"value": 1, field: url}), 400)
    assert fields(refusal) == [field]
    assert rows(app) == before


def test_production_leads_to_no_address_without_encryption(fresh_database, tmp_path, clock):
    """Somebody in between could take the shopper elsewhere."""
    settings = settings_for(
        fresh_database("sqlite"),
        tmp_path,
        app_env="production",
        public_url="https://pay.example.com",
    )
    app = ready_app(settings, clock)
    try:
        alice = client_of(app, add_merchant(app, "alice", "alice@example.com"))
        body = {"value": 1, "return_url": "http://localhost/ok", "cancel_url": SHOP}
        answer = alice.post("/payments/pix", json=body)
        assert fields(problem(answer, 400)) == ["return_url"]
    finally:
        close_app(app)


def link_on(client, payment, path="") -> str | None:
    """Where *Voltar para a loja* leads on the payment's page."""
    page = client.get(f"/payments/pix/{payment['id']}{path}").text
    link = re.search(r'href="([^"]+)"[^<]*>(?:<svg.*?</svg>)? ?Voltar para a loja', page, re.DOTALL)
    return html.unescape(link[1]) if link else None


def test_a_paid_page_and_its_receipt_lead_to_the_return_address(client, make_payment, bank):
    """Not before: who opened the address without paying could get the goods of a careless shop."""
    payment = make_payment(return_url=SHOP, cancel_url=LEFT)
    assert link_on(client, payment) is None
    assert "loja.example" not in client.get(f"/payments/pix/{payment['id']}").text
    bank.confirm(payment)
    outcome = f"{SHOP}&payment_id={payment['id']}&status=confirmed"
    assert link_on(client, payment) == link_on(client, payment, "/receipt") == outcome
    assert "Ver recibo" in client.get(f"/payments/pix/{payment['id']}").text


def test_a_page_that_cannot_be_paid_leads_to_the_cancel_address(client, make_payment, bank, clock):
    """Expired, cancelled by the shop, and paid too late."""
    expired, cancelled, late = (
        make_payment(cancel_url=LEFT, expires_in=10, **other)
        for other in ({}, {}, {"return_url": SHOP})
    )
    client.post(f"/payments/pix/{cancelled['id']}/cancel")
    clock.advance(seconds=11)
    bank.confirm(late)
    for payment, status in ((expired, "expired"), (cancelled, "cancelled"), (late, "expired")):
        outcome = f"{LEFT}?payment_id={payment['id']}&status={status}"
        assert link_on(client, payment) == outcome


def test_a_renewal_keeps_the_addresses_and_the_payer(client, make_payment, clock):
    """It is the same order of the same buyer."""
    own = {"return_url": SHOP, "cancel_url": LEFT, "payer": {"name": "Carol", "document": CAROL}}
    old = make_payment(expires_in=10, **own)
    clock.advance(seconds=11)
    client.post(f"/payments/pix/{old['id']}/renew")
    new = client.get("/payments/pix").json["data"][0]
    assert new["id"] != old["id"]
    assert {name: new[name] for name in own} == {name: old[name] for name in own}


@pytest.mark.parametrize("field", ["return_url", "cancel_url", "payer"])
def test_the_fields_are_part_of_the_idempotent_request(client, field):
    """A repetition that leads elsewhere is another request."""
    values = {"return_url": SHOP, "cancel_url": LEFT, "payer": {"document": CAROL}}
    headers = {"Idempotency-Key": "k1"}
    body = {"value": 1, field: values[field]}
    first = client.post("/payments/pix", json=body, headers=headers)
    again = client.post("/payments/pix", json=body, headers=headers)
    assert (again.status_code, again.data) == (201, first.data)
    other = client.post("/payments/pix", json={"value": 1}, headers=headers)
    assert fields(problem(other, 409, "idempotency-conflict")) == [field]


@pytest.mark.parametrize(
    ("payer", "view"),
    [
        ({"name": "Carol Dias", "document": "529.982.247-25"},
         {"name": "Carol Dias", "document": "***.982.247-**"}),
        ({"document": "11.222.333/0001-81"}, {"name": None, "document": "**.222.333/0001-**"}),
        ({"document": "11222333000181", "name": None},
         {"name": None, "document": "**.222.333/0001-**"}),
        ({"name": "C" * 140}, {"name": "C" * 140, "document": None}),
        ({}, None),
        (None, None),
    ],
)  # fmt: skip
def test_a_payer_is_stored_for_the_shop(client, payer, view):
    """Name and document are both optional; the document is masked in every answer."""
    answer = client.post("/payments/pix", json={"value": 1, "payer": payer})
    assert answer.status_code == 201, answer.text
    assert answer.json["payment"]["payer"] == view
    assert client.get("/payments/pix").json["data"][0]["payer"] == view


@pytest.mark.parametrize(
    ("payer", "field"),
    [
        ({"document": "52998224724"}, "payer.document"),
        ({"document": "11111111111"}, "payer.document"),
        ({"document": "11222333000180"}, "payer.document"),
        ({"document": "5299822472"}, "payer.document"),
        ({"document": "529 982 247 25"}, "payer.document"),
        ({"document": 52998224725}, "payer.document"),
        ({"document": ""}, "payer.document"),
        ({"name": ""}, "payer.name"),
        ({"name": "C" * 141}, "payer.name"),
        ({"email": "carol@example.com"}, "payer.email"),
        ("Carol", "payer"),
        ([], "payer"),
    ],
)
def test_a_wrong_payer_is_refused_by_name(client, app, payer, field):
    """A mistyped document would name another person."""
    before = rows(app)
    answer = client.post("/payments/pix", json={"value": 1, "payer": payer})
    refusal = problem(answer, 400)
    assert fields(refusal) == [field]
    assert (
        str(payer.get("document")) not in refusal["errors"][0]["detail"]
        if isinstance(payer, dict) and payer.get("document")
        else True
    )
    assert rows(app) == before


def test_a_shopper_sees_neither_the_addresses_nor_the_payer(app, client):
    """The link may be passed on; the portal's page shows the payer to the shop, masked."""
    alice = Person(app, "alice")
    alice.sign_up()
    seller = client_of(app, alice.tokens()["access_token"])
    body = {"value": 1, "return_url": SHOP, "payer": {"name": "Carol Dias", "document": CAROL}}
    payment = seller.post("/payments/pix", json=body).json["payment"]
    address = f"/payments/pix/{payment['id']}"
    for answer in (client.get(address, headers=JSON), client.get(address)):
        assert answer.status_code == 200
        assert not re.search("loja.example|Carol|982", answer.text)
    portal = alice.enter().get(f"/portal/payments/{payment['id']}").text
    assert "Carol Dias · ***.982.247-**" in portal
    assert CAROL not in portal
