"""One payment's page: its timeline and the merchant's actions, on both sides of each rule."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from db_models import TraceKind
from payments import traces as payment_traces
from tests.portal.signing import CONFIRMED, search


def titles(page: str) -> list[str]:
    """The titles of the timeline, in order."""
    return re.findall(r'timeline__title">([^<]+)<', page)


def path(payment, verb="") -> str:
    """The payment's path in the portal."""
    return f"/portal/payments/{payment['id']}{verb}"


def trace(client, payment, what):
    """Send a trace as the payment page's script does."""
    return client.post(f"/payments/pix/{payment['id']}/trace", json={"what": what})


def test_the_timeline_has_all_events_in_order(app, alice, client, charge, bank, clock):
    """Created, opened, copied, bank asked, money refused with its reason, confirmed."""
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


def test_a_repeated_trace_is_one_row(alice, client, charge, clock):
    """Reloads within ten seconds write nothing; a later one counts once more."""
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


def test_the_merchants_own_visit_leaves_no_trace(alice, charlie, charge):
    """Alice's visit to her own payment page does not count; Charlie's visit does."""
    payment = charge()
    headers = {"X-CSRF-TOKEN": alice.token}
    body = {"what": "opened"}
    address = f"/payments/pix/{payment['id']}/trace"
    assert alice.client.post(address, json=body, headers=headers).status_code == 204
    assert "Página de pagamento aberta" not in alice.get(path(payment)).text
    assert charlie.client.post(address, json=body).status_code == 204
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
def test_an_unknown_trace_is_refused(client, charge, body, status):
    """Shoppers may report two traces, and none that only the service can know."""
    payment = charge()
    answer = client.post(f"/payments/pix/{payment['id']}/trace", json=body)
    assert answer.status_code == status


@pytest.mark.parametrize("txid", ["0" * 32, "nonsense"])
def test_a_trace_of_an_unknown_payment_is_a_404(client, people, txid):
    """A trace needs a payment."""
    answer = client.post(f"/payments/pix/{txid}/trace", json={"what": "opened"})
    assert answer.status_code == 404


def test_traces_are_limited_per_address(client, charge):
    """A script that repeats the trace gets 429."""
    payment = charge()
    answers = [trace(client, payment, "opened").status_code for _ in range(61)]
    assert answers[:60] == [204] * 60
    assert answers[60] == 429


def test_the_payment_page_needs_two_statements(client, charge, count_statements):
    """The page itself neither reads nor writes traces."""
    payment = charge()
    with count_statements() as statements:
        page = client.get(f"/payments/pix/{payment['id']}", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert len(statements) <= 2, statements
    assert not any("payment_traces" in text for text in statements)


def test_cancelling_and_renewing(alice, charge, clock):
    """Only an open payment can be cancelled and only an expired one renewed, each once."""
    pending, old = charge(), charge(expires_in=60)
    answer = alice.post(path(pending, "/cancel"), CONFIRMED)
    assert answer.status_code == 303
    assert "Cobrança cancelada." in alice.get(answer.location).text
    assert alice.post(path(pending, "/cancel"), CONFIRMED).status_code == 409
    assert alice.post(path(pending, "/renew")).status_code == 409
    assert alice.post(path(old, "/renew")).status_code == 409
    clock.advance(seconds=61)
    renewal = alice.post(path(old, "/renew"))
    assert renewal.status_code == 303
    page = alice.get(renewal.location).text
    assert "Esta é a nova cobrança do mesmo pedido." in page
    assert f"/portal/payments/{old['id']}" in page
    assert "uma nova cobrança" in alice.get(path(old)).text


@pytest.mark.parametrize("verb", ["/cancel", "/renew", "/refund"])
def test_without_the_forms_token_nothing_is_done(alice, charge, verb):
    """Another site's form sends the cookie, but not the token."""
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
    """Only our own pages may change payments, Pix keys and API keys."""
    assert alice.client.post(address, data={"value": "1"}).status_code == 403


@pytest.mark.parametrize("value", ["0", "-1", "abc", "1,234", "54,901", "1e3", "99999999999"])
def test_an_invalid_refund_amount_is_reported_at_its_field(alice, charge, bank, value):
    """The page keeps the text, and nothing is refunded."""
    payment = charge()
    bank.confirm(payment)
    answer = alice.post(path(payment, "/refund"), {"value": value})
    if value == "1,234":  # thousands, in the English way: more than was paid
        assert answer.status_code in (400, 409)
    else:
        assert answer.status_code in (400, 409), value
    assert f'value="{value}"' in answer.text or answer.status_code == 409
    assert alice.get(path(payment)).text.count("Devolução pedida") == 0


def test_more_than_the_amount_is_not_refunded(alice, charge, bank):
    """One centavo more is refused; the amount itself is requested from the bank."""
    payment = charge(value="54.90")
    bank.confirm(payment)
    assert alice.post(path(payment, "/refund"), {"value": "54,91"}).status_code == 409
    answer = alice.post(
        path(payment, "/refund"), {"value": "54,90", "refund_id": "a" * 32, **CONFIRMED}
    )
    assert answer.status_code == 303
    page = alice.get(answer.location).text
    assert "Devolução pedida ao banco" in page
    assert "Devolução em andamento: R$\xa054,90" in page
    again = alice.post(
        path(payment, "/refund"), {"value": "54,90", "refund_id": "a" * 32, **CONFIRMED}
    )
    assert again.status_code == 303  # the same form sent twice is one refund
    assert titles(alice.get(path(payment)).text).count("Devolução pedida") == 1


def fields_of(page: str) -> dict[str, str]:
    """The hidden fields of the confirmation page."""
    form = page.partition('class="confirmation__form"')[2].partition("</form>")[0]
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))


def test_a_refund_is_asked_again_with_sum_and_payer(alice, charge, bank):
    """An empty amount returns everything, so one click must not do that."""
    payment = charge(value="54.90", description="Queijo")
    bank.confirm(payment)

    question = alice.post(path(payment, "/refund"), {"value": "", "refund_id": "b" * 32})

    assert question.status_code == 200
    assert "Devolver R$\xa054,90 a Bob de Souza?" in question.text
    assert "Sim, devolver R$\xa054,90" in question.text
    assert f'href="{path(payment)}"' in question.text
    assert "Devolução pedida" not in titles(alice.get(path(payment)).text)
    fields = fields_of(question.text)
    assert fields["value"] == "54,90"
    assert fields["refund_id"] == "b" * 32
    assert alice.post(path(payment, "/refund"), fields).status_code == 303
    assert titles(alice.get(path(payment)).text).count("Devolução pedida") == 1


def test_the_question_of_a_part_names_the_part_and_keeps_the_reason(alice, charge, bank):
    """What the merchant typed is what the second request sends; text is escaped."""
    payment = charge(value="54.90")
    bank.confirm(payment)

    question = alice.post(path(payment, "/refund"), {"value": "4,9", "description": "<b>falta</b>"})

    assert "Devolver R$\xa04,90 a Bob de Souza?" in question.text
    assert "<b>falta" not in question.text
    assert fields_of(question.text)["description"] == "&lt;b&gt;falta&lt;/b&gt;"


def test_a_cancellation_is_asked_again_and_back_changes_nothing(alice, charge):
    """The question names the sum; the payment stays open until the second request."""
    payment = charge(value="54.90", order_id="FV-1")

    question = alice.post(path(payment, "/cancel?lang=en"))

    assert question.status_code == 200
    assert "R$54.90" in question.text
    assert "FV-1" in question.text
    assert f'action="{path(payment)}/cancel?lang=en"' in question.text
    assert "Pending" in alice.get(path(payment)).text  # in the language that was chosen


def test_a_charge_is_sent_by_whatsapp_with_sum_description_and_link(app, alice, charge):
    """One tap; the merchant chooses the chat. The text is encoded, so it cannot add parameters."""
    payment = charge(value="54.90", description="Pão & queijo?\u00a0#1")
    page = alice.get(path(payment)).text
    address = urlsplit(html.unescape(search(page, r'href="(https://wa\.me/[^"]*)"')))
    assert (address.netloc, address.path, address.fragment) == ("wa.me", "/", "")
    assert parse_qs(address.query)["text"] == [
        "Cobrança de R$\xa054,90\nPão & queijo?\u00a0#1\n"
        f"Pague com Pix: {app.config['BALCAO'].public_url}/payments/pix/{payment['id']}"
    ]


def test_created_is_not_said_above_paid(alice, charge, bank):
    """The address with `done=created` stays in the browser after the payment is paid."""
    payment = charge()
    address = path(payment, "?done=created")
    assert "Cobrança criada. Mostre o QR" in alice.get(address).text
    bank.confirm(payment)
    assert "Cobrança criada. Mostre" not in alice.get(address).text


def test_the_button_that_cancels_stands_below_the_code(alice, charge):
    """On a phone it stood above the QR, where a thumb hits it."""
    page = alice.get(path(charge())).text
    assert page.index("one__code") < page.index("Copiar link") < page.index("Cancelar cobrança")


def test_an_unpaid_payment_is_not_refunded(alice, charge):
    """No money has arrived."""
    assert alice.post(path(charge(), "/refund"), {}).status_code == 409


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("54,90", "R$\xa054,90"),
        ("R$ 1.234,56", "R$\xa01.234,56"),
        ("1.234", "R$\xa01.234,00"),
        ("54.9", "R$\xa054,90"),
        ("r$ 12", "R$\xa012,00"),
        ("1,234.56", "R$\xa01.234,56"),
        ("0,01", "R$\xa00,01"),
        ("9.999.999.999,99", "R$\xa09.999.999.999,99"),
        ("\u200bR$\xa012,00\ufeff", "R$\xa012,00"),
        ("1\u200b2,00", "R$\xa012,00"),
    ],
)
def test_money_is_read_as_people_write_it(alice, text, amount):
    """A misread comma would charge a hundred times the amount."""
    answer = alice.post("/portal/payments/new", {"value": text, "expires_in": "1800"})
    assert answer.status_code == 303, answer.text
    assert amount in alice.get(answer.location).text


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
def test_an_error_in_a_new_payment_is_reported_at_its_field(alice, fields, wrong):
    """Nothing is created."""
    form = {"value": "54,90", "description": "Queijo", "expires_in": "1800", **fields}
    answer = alice.post("/portal/payments/new", form)
    assert answer.status_code == 400
    assert f'id="{wrong}-wrong"' in answer.text
    assert 'class="row-item"' not in alice.get("/portal/payments").text


def test_what_nobody_sees_is_taken_off_a_new_payment(alice):
    """A text pasted from a messenger is not refused for a mark that no one can find in it."""
    fields = {
        "value": "54,90",
        "description": "Queijo\u200b da\u00a0Serra\ufeff",
        "expires_in": "1800",
    }
    answer = alice.post("/portal/payments/new", fields)
    assert answer.status_code == 303
    assert "Queijo da Serra<" in alice.get(answer.location).text


def test_a_form_sent_twice_creates_one_payment(alice):
    """A double click must not charge twice."""
    form = {"value": "54,90", "expires_in": "1800", "form_key": "k" * 24}
    first = alice.post("/portal/payments/new", form)
    second = alice.post("/portal/payments/new", form)
    assert first.status_code == second.status_code == 303
    assert first.location == second.location


def test_an_order_with_an_open_payment_gets_no_second_one(alice, charge):
    """The form says so, and links to the existing payment."""
    charge(order_id="FV-9")
    form = {"value": "54,90", "order_id": "FV-9", "expires_in": "1800"}
    answer = alice.post("/portal/payments/new", form)
    assert answer.status_code == 409
    assert "Este pedido já tem uma cobrança aberta ou paga." in answer.text
    assert "/portal/payments?order=FV-9" in answer.text


def test_there_is_no_test_payment_in_production(app, alice, monkeypatch):
    """Test payments are for development only."""
    settings = app.config["BALCAO"]
    monkeypatch.setitem(app.config, "BALCAO", settings.model_copy(update={"app_env": "production"}))
    assert alice.post("/portal/payments/test").status_code == 404
