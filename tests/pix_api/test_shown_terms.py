"""What pages show of the terms of a charge: changes, open amounts, lines, withdrawals."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from db_models import Payment
from payments import renewals
from payments.opening import renewal_terms
from repository.database import in_unit_of_work, reading
from tests.pix_api.charges import DemoCalls
from tests.portal.signing import make_account, search, sign_in
from tests.recovery.conftest import form
from tests.recovery.test_proof_page import picture

TXID = "a" * 30
HTML = {"Accept": "text/html"}
CASH = {
    "valor": "20.00",
    "modalidadeAlteracao": 0,
    "modalidadeAgente": "AGTEC",
    "prestadorDoServicoDeSaque": "12345678",
}


@pytest.fixture
def alice(app):
    """Alice's browser, signed in to the portal."""
    make_account(app, "alice")
    return sign_in(app, "alice")


@pytest.fixture
def call(app, alice):
    """The calls of Alice's client."""
    return DemoCalls(app, "alice")


def row_id(app) -> str:
    """The id of the only payment."""
    with app.app_context(), reading() as work:
        return str(work.session.scalars(select(Payment.txid)).one())


def payment_page(app) -> str:
    """The payment page of the only payment."""
    path = f"/payments/pix/{row_id(app)}"
    return app.test_client().get(path, headers={"Accept": "text/html"}).text


def test_the_timeline_says_what_a_revision_changed_and_who(app, alice, call):
    """A merchant who finds another amount must see where it comes from."""
    charge = call.create(TXID)
    change = {
        "valor": {"original": "12.00"},
        "calendario": {"expiracao": 7200},
        "devedor": {"cpf": "12345678909", "nome": "Bia Lima"},
        "solicitacaoPagador": "Mesa 5",
        "infoAdicionais": [{"nome": "Mesa", "valor": "5"}],
    }
    assert call("PATCH", f"/cob/{TXID}", change).status_code == 200
    counter = f"/portal/counter/payments/{row_id(app)}"
    assert "/qr_code/" in alice.get(counter).text
    assert call("DELETE", f"/loc/{charge['loc']['id']}/txid").status_code == 200
    answer = alice.get(counter)  # the counter has no QR to show any more
    assert (answer.status_code, answer.location) == (303, f"/portal/payments/{row_id(app)}")
    location = call("POST", "/loc", {"tipoCob": "cob"}).json
    assert call("PATCH", f"/cob/{TXID}", {"loc": {"id": location["id"]}}).status_code == 200
    page = alice.get(f"/portal/payments/{row_id(app)}").text
    assert "Cobrança alterada" in page
    assert (
        "Valor: R$\xa012,00, prazo, devedor, texto para o pagador, informações adicionais. "
        "Por SDK, pela API." in page
    )
    assert page.index("Código retirado") < page.index("Código trocado")
    assert "Prazo alterado" not in page
    english = alice.get(f"/portal/payments/{row_id(app)}?lang=en").text
    assert "Amount: R$" in english
    assert "By SDK, through the API." in english


def test_an_open_amount_is_called_so_and_never_paid_as_zero(app, alice, call):
    """The payer types the amount in the bank's app; R$ 0,00 would look like a gift."""
    call.create(TXID, valor={"original": "0.00", "modalidadeAlteracao": 1})
    txid = row_id(app)
    page = payment_page(app)
    assert '<p class="checkout__amount money">valor livre</p>' in page
    assert "Você escolhe quanto pagar no app do banco." in page
    assert "0,00" not in page
    for path in (f"/portal/payments/{txid}", "/portal/payments"):
        text = alice.get(path).text
        assert "valor livre" in text
        assert "R$\xa00,00" not in text
    counter = f"/portal/counter/payments/{txid}"
    text = alice.get(counter).text
    assert (
        '<h1 class="counter__total money" id="counter-title" tabindex="-1">valor livre</h1>' in text
    )
    assert "Sim, cancelar a cobrança" in text
    assert "0,00" not in text
    assert "Cancelar a cobrança de valor livre?" in alice.post(f"{counter}/cancel").text
    make_account(app, "bob", "payer")
    bob = sign_in(app, "bob")
    text = bob.get(f"/pay/{txid}").text
    assert "Você escolhe o valor no app do banco" in text
    assert 'name="pin"' not in text
    answer = bob.client.post(
        f"/api/pay/{txid}", json={"pin": "1234"}, headers={"X-CSRF-TOKEN": bob.token}
    )
    assert answer.status_code == 400
    assert answer.get_json(force=True)["errors"][0]["field"] == "value"


def test_a_proof_of_an_open_amount_is_deleted_by_its_words(app, alice, call):
    """The question names the charge as the queue of proofs does."""
    call.create(TXID, valor={"original": "0.00", "modalidadeAlteracao": 1})
    path = f"/payments/pix/{row_id(app)}/proof"
    answer = app.test_client().post(path, data=form(picture()), headers=HTML)
    assert answer.status_code == 303
    queue = alice.get("/portal/proofs").text
    question = alice.post(search(queue, r'action="(/portal/proofs/[0-9a-f]{32}/delete)')).text
    for page in (queue, question, app.test_client().get(path, headers=HTML).text):
        assert "valor livre" in page
        assert "0,00" not in page


def test_the_portal_shows_the_txid_and_the_location_of_a_charge(app, alice, call):
    """A shop's developer looks for what the program knows, and the bank's log has the location."""
    charge = call.create(TXID)
    page = alice.get(f"/portal/payments/{row_id(app)}").text
    assert f'<dt>Txid da API Pix</dt><dd class="facts__id">{TXID}</dd>' in page
    assert f'<dt>Location da API Pix</dt><dd class="facts__id">{charge["location"]}</dd>' in page

    assert call("DELETE", f"/loc/{charge['loc']['id']}/txid").status_code == 200
    page = alice.get(f"/portal/payments/{row_id(app)}").text
    assert f'<dd class="facts__id">{TXID}</dd>' in page
    assert "<dt>Location da API Pix</dt>" not in page


def test_the_portal_shows_the_location_of_a_charge_whose_txid_is_its_id(app, alice, call):
    """`POST /cob` leaves the txid to the service."""
    charge = call("POST", "/cob", call.body()).json
    page = alice.get(f"/portal/payments/{charge['txid']}").text
    assert "Txid da API Pix" not in page
    assert f'<dt>Location da API Pix</dt><dd class="facts__id">{charge["location"]}</dd>' in page


def test_the_portal_shows_no_location_of_other_payments(app, alice):
    """A merchant who types amounts needs no address of a payload."""
    headers = {"X-CSRF-TOKEN": alice.token}
    answer = alice.client.post("/payments/pix", json={"value": "54.90"}, headers=headers)
    assert answer.status_code == 201
    page = alice.get(f"/portal/payments/{row_id(app)}").text
    assert "<dt>Identificador</dt>" in page
    assert "<dt>Location da API Pix</dt>" not in page


def test_a_proposed_amount_is_shown_with_the_payers_choice(app, call):
    call.create(TXID, valor={"original": "5.00", "modalidadeAlteracao": 1})
    page = payment_page(app)
    assert "R$\xa05,00" in page
    assert "A loja propõe este valor. Você pode mudar no app do banco." in page


def test_the_merchants_lines_are_shown_as_text(app, call):
    """They come from a shop's program, so they are no HTML."""
    call.create(TXID, infoAdicionais=[{"nome": "<b>Mesa</b>", "valor": "x" * 200}])
    page = payment_page(app)
    assert "<dt>&lt;b&gt;Mesa&lt;/b&gt;</dt>" in page
    assert f"<dd>{'x' * 200}</dd>" in page


@pytest.mark.parametrize(
    ("kind", "original", "lines"),
    [
        ("troco", "10.00", ("Compra: R$\xa010,00", "Troco em dinheiro: R$\xa020,00")),
        ("saque", "0.00", ("Saque em dinheiro: R$\xa020,00",)),
    ],
)
def test_a_withdrawal_shows_its_split(app, call, kind, original, lines):
    call.create(TXID, valor={"original": original, "retirada": {kind: CASH}})
    page = payment_page(app)
    for line in lines:
        assert line in page
    assert ("Compra:" in page) == (kind == "troco")


def test_a_renewal_keeps_the_terms(app, call, clock):
    """The new code asks for the same; only a charge without a chosen txid is renewed."""
    valor = {"original": "10.00", "retirada": {"troco": {**CASH, "modalidadeAlteracao": 1}}}
    assert call("POST", "/cob", call.body(valor=valor)).status_code == 201
    old = row_id(app)
    clock.advance(seconds=3601)

    def renew(work):
        payment = work.payments.by_txid(old)
        new = renewals.renew(work, payment, renewal_terms())
        names = ("charge_terms", "payer_sets_amount", "amount_centavos", "description")
        assert [getattr(new, name) for name in names] == [getattr(payment, name) for name in names]
        return new.txid, new.charge_txid, new.revision

    with app.test_request_context():
        new, charge_txid, revision = in_unit_of_work(renew)
    assert (charge_txid, revision) == (None, 0)
    assert (
        call("GET", f"/cob/{new}").get_json()["valor"]
        == (call("GET", f"/cob/{old}").get_json()["valor"])
    )
    page = app.test_client().get(f"/payments/pix/{new}", headers={"Accept": "text/html"}).text
    assert "Troco em dinheiro: R$\xa020,00" in page
    assert "Você pode mudar o valor em dinheiro no app do banco." in page
