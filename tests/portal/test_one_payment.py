"""One payment's page: its timeline, and what its merchant may do, on both sides of each rule."""

from __future__ import annotations

import re

import pytest

from db_models import TraceKind
from payments import traces as payment_traces


def titles(page: str) -> list[str]:
    """What the timeline says, in order."""
    return re.findall(r'timeline__title">([^<]+)<', page)


def path(payment, verb="") -> str:
    """Where the payment is in the portal."""
    return f"/portal/payments/{payment['id']}{verb}"


def trace(client, payment, what):
    """What the payment page's script tells."""
    return client.post(f"/payments/pix/{payment['id']}/trace", json={"what": what})


def test_the_timeline_tells_everything_in_order(app, alice, client, charge, bank, clock):
    """Created, opened, copied, the bank asked, refused money with its reason, confirmed."""
    payment = charge(order_id="FV-1")
    clock.advance(seconds=5)
    assert trace(client, payment, "opened").status_code == 204
    clock.advance(seconds=5)
    assert trace(client, payment, "copied").status_code == 204
    clock.advance(seconds=5)
    with app.app_context():
        payment_traces.record(payment["id"], TraceKind.ASKED)
    clock.advance(seconds=5)
    assert bank.confirm(payment, value=1).status_code == 400
    clock.advance(seconds=5)
    assert bank.confirm(payment).status_code == 200
    page = alice.get(path(payment)).text

    assert titles(page) == [
        "Cobrança criada",
        "Página de pagamento aberta",
        "Código Pix copiado",
        "Consultamos o banco",
        "Dinheiro recusado, volta ao pagador",
        "Pagamento confirmado",
    ]
    assert "O valor pago não era o da cobrança." in page
    assert "R$\xa01,00" in page
    assert "Bob de Souza" in page


def test_a_trace_is_one_row_however_often_it_is_told(alice, client, charge, clock):
    """Reloads within ten seconds write nothing; the eleventh second counts once more."""
    payment = charge()
    for _ in range(5):
        trace(client, payment, "opened")
    assert titles(alice.get(path(payment)).text).count("Página de pagamento aberta") == 1
    assert "vezes até agora" not in alice.get(path(payment)).text
    clock.advance(seconds=9)
    trace(client, payment, "opened")
    assert "vezes até agora" not in alice.get(path(payment)).text
    clock.advance(seconds=1)
    trace(client, payment, "opened")
    assert "2 vezes até agora" in alice.get(path(payment)).text


def test_the_merchants_own_look_is_not_a_shoppers(alice, charlie, charge):
    """Alice opens her own payment page from the portal; Charlie's browser counts as a shopper."""
    payment = charge()
    headers = {"X-CSRF-TOKEN": alice.token}
    told = {"what": "opened"}
    address = f"/payments/pix/{payment['id']}/trace"
    assert alice.client.post(address, json=told, headers=headers).status_code == 204
    assert "Página de pagamento aberta" not in alice.get(path(payment)).text
    assert charlie.client.post(address, json=told).status_code == 204
    assert "Página de pagamento aberta" in alice.get(path(payment)).text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"what": "paid"}, 400),
        ({}, 400),
        ({"what": ["opened"]}, 400),
        ({"what": "opened", "more": 1}, 400),
        ({"what": "asked"}, 400),
    ],
)
def test_a_trace_of_something_else_is_refused(client, charge, body, status):
    """Whoever has the link may say two things, and nothing that only the service knows."""
    payment = charge()
    answer = client.post(f"/payments/pix/{payment['id']}/trace", json=body)
    assert answer.status_code == status


@pytest.mark.parametrize("txid", ["0" * 32, "nonsense"])
def test_a_trace_of_no_payment_is_a_404(client, people, txid):
    """It writes nothing either."""
    answer = client.post(f"/payments/pix/{txid}/trace", json={"what": "opened"})
    assert answer.status_code == 404


def test_traces_are_limited_per_address(client, charge):
    """A script that tells it for ever is stopped, and told until when."""
    payment = charge()
    answers = [trace(client, payment, "opened").status_code for _ in range(61)]
    assert answers[:60] == [204] * 60
    assert answers[60] == 429


def test_the_payment_page_itself_still_takes_two_statements(client, charge, counted):
    """Traces are told after the page is shown: the page asks nothing more for them."""
    payment = charge()
    with counted() as statements:
        page = client.get(f"/payments/pix/{payment['id']}", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert len(statements) <= 2, statements
    assert not any("payment_traces" in one for one in statements)


def test_cancelling_and_charging_again(alice, charge, clock):
    """An open one is cancelled; an expired one renewed; neither twice, nor the other way round."""
    open_one, old = charge(), charge(expires_in=60)
    answer = alice.post(path(open_one, "/cancel"))
    assert answer.status_code == 303
    assert "Cobrança cancelada." in alice.get(answer.location).text
    assert alice.post(path(open_one, "/cancel")).status_code == 409
    assert alice.post(path(open_one, "/renew")).status_code == 409
    assert alice.post(path(old, "/renew")).status_code == 409
    clock.advance(seconds=61)
    renewed = alice.post(path(old, "/renew"))
    assert renewed.status_code == 303
    page = alice.get(renewed.location).text
    assert "Esta é a nova cobrança do mesmo pedido." in page
    assert f"/portal/payments/{old['id']}" in page
    assert "uma nova cobrança" in alice.get(path(old)).text


@pytest.mark.parametrize("verb", ["/cancel", "/renew", "/refund"])
def test_without_the_forms_token_nothing_is_done(alice, charge, verb):
    """Another site's form carries the cookie, but not the token."""
    payment = charge()
    for fields in ({}, {"csrf_token": "x" * 32}):
        answer = alice.client.post(path(payment, verb), data=fields)
        assert answer.status_code == 403, verb
    assert "Aguardando" in alice.get(path(payment)).text


@pytest.mark.parametrize(
    "address",
    [
        "/portal/payments/new",
        "/portal/payments/test",
        "/portal/settings/shop",
        "/portal/settings/logo",
        "/portal/settings/pix-key",
        "/portal/settings/keys",
        "/portal/settings/password",
        f"/portal/settings/keys/{'0' * 32}/revoke",
        f"/portal/settings/sessions/{'0' * 32}/end",
    ],
)
def test_every_form_of_the_portal_needs_its_token(alice, address):
    """Charges, money's way and keys are changed by our own pages alone."""
    assert alice.client.post(address, data={"value": "1"}).status_code == 403


@pytest.mark.parametrize("value", ["0", "-1", "abc", "1,234", "54,901", "1e3", "99999999999"])
def test_a_refund_of_no_amount_is_said_beside_its_field(alice, charge, bank, value):
    """The page comes again with what was typed, and nothing is given back."""
    payment = charge()
    bank.confirm(payment)
    answer = alice.post(path(payment, "/refund"), {"value": value})
    if value == "1,234":  # thousands, in the English way: more than was paid
        assert answer.status_code in (400, 409)
    else:
        assert answer.status_code in (400, 409), value
    assert f'value="{value}"' in answer.text or answer.status_code == 409
    assert alice.get(path(payment)).text.count("Devolução pedida") == 0


def test_more_than_was_paid_is_not_given_back(alice, charge, bank):
    """One centavo over the amount is refused; the amount itself is asked of the bank."""
    payment = charge(value="54.90")
    bank.confirm(payment)
    assert alice.post(path(payment, "/refund"), {"value": "54,91"}).status_code == 409
    answer = alice.post(path(payment, "/refund"), {"value": "54,90", "refund_id": "a" * 32})
    assert answer.status_code == 303
    page = alice.get(answer.location).text
    assert "Devolução pedida ao banco" in page
    assert "Devolução em andamento: R$\xa054,90" in page
    again = alice.post(path(payment, "/refund"), {"value": "54,90", "refund_id": "a" * 32})
    assert again.status_code == 303  # the same form sent twice is one refund
    assert titles(alice.get(path(payment)).text).count("Devolução pedida") == 1


def test_an_unpaid_payment_is_not_refunded(alice, charge):
    """There is nothing to give back."""
    assert alice.post(path(charge(), "/refund"), {}).status_code == 409


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("54,90", "R$\xa054,90"),
        ("R$ 1.234,56", "R$\xa01.234,56"),
        ("1.234", "R$\xa01.234,00"),
        ("54.9", "R$\xa054,90"),
        ("r$ 12", "R$\xa012,00"),
        ("1,234.56", "R$\xa01.234,56"),
        ("0,01", "R$\xa00,01"),
        ("9.999.999.999,99", "R$\xa09.999.999.999,99"),
    ],
)
def test_money_is_read_as_people_write_it(alice, typed, shown):
    """A comma misread once is a hundredfold charge."""
    answer = alice.post("/portal/payments/new", {"value": typed, "expires_in": "1800"})
    assert answer.status_code == 303, answer.text
    assert shown in alice.get(answer.location).text


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"value": ""}, "value"),
        ({"value": "0,00"}, "value"),
        ({"value": "1,999"}, "value"),
        ({"value": "54 90"}, "value"),
        ({"value": "10.000.000.000,00"}, "value"),
        ({"value": "12.34.56"}, "value"),
        ({"description": "x" * 141}, "description"),
        ({"description": "a\x00b"}, "description"),
        ({"order_id": "x" * 65}, "order_id"),
        ({"expires_in": "9"}, "expires_in"),
        ({"expires_in": "2592001"}, "expires_in"),
    ],
)
def test_what_is_wrong_with_a_charge_is_said_beside_its_field(alice, fields, wrong):
    """Nothing is created, and what was typed right is still there."""
    sent = {"value": "54,90", "description": "Queijo", "expires_in": "1800", **fields}
    answer = alice.post("/portal/payments/new", sent)
    assert answer.status_code == 400
    assert f'id="{wrong}-wrong"' in answer.text
    assert 'class="row-item"' not in alice.get("/portal/payments").text


def test_the_same_form_sent_twice_is_one_charge(alice):
    """An impatient second click is not a second charge."""
    sent = {"value": "54,90", "expires_in": "1800", "form_key": "k" * 24}
    first = alice.post("/portal/payments/new", sent)
    second = alice.post("/portal/payments/new", sent)
    assert first.status_code == second.status_code == 303
    assert first.location == second.location


def test_an_order_that_is_being_paid_gets_no_second_charge(alice, charge):
    """The form says so, and leads to the one there is."""
    charge(order_id="FV-9")
    sent = {"value": "54,90", "order_id": "FV-9", "expires_in": "1800"}
    answer = alice.post("/portal/payments/new", sent)
    assert answer.status_code == 409
    assert "Este pedido já tem uma cobrança aberta ou paga." in answer.text
    assert "/portal/payments?order=FV-9" in answer.text


def test_there_is_no_test_payment_in_production(app, alice, monkeypatch):
    """It is play money's door."""
    settings = app.config["BALCAO"]
    monkeypatch.setitem(app.config, "BALCAO", settings.model_copy(update={"app_env": "production"}))
    assert alice.post("/portal/payments/test").status_code == 404
