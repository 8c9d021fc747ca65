"""PATCH and PUT as SDKs send them: nulls, payers without a document, slashes, late tokens."""

from __future__ import annotations

import pytest

from tests.pix_api.charges import DemoCalls, paths_of
from tests.pix_api.clients import demo_client

TXID = "a" * 30


@pytest.fixture
def call(each_app):
    """The demo merchant's calls, on each engine."""
    return DemoCalls(each_app)


def test_null_beside_the_other_document_is_not_a_second_document(call):
    """SDKs with typed models write null for every member that is not set."""
    call.create(TXID)
    debtor = {"cpf": None, "cnpj": "12ABC34501DE35", "nome": "Loja"}
    answer = call("PATCH", f"/cob/{TXID}", {"devedor": debtor}, dialect="null for not set")
    assert answer.json["devedor"] == {"cnpj": "12ABC34501DE35", "nome": "Loja"}
    nulls = {"cpf": None, "cnpj": None, "nome": "Loja Nova"}
    answer = call("PATCH", f"/cob/{TXID}", {"devedor": nulls}, dialect="null for not set")
    assert answer.json["devedor"] == {"cnpj": "12ABC34501DE35", "nome": "Loja Nova"}


def test_a_saque_becomes_a_troco_beside_a_null(call):
    cash = {
        "valor": "20.00",
        "modalidadeAgente": "AGTEC",
        "prestadorDoServicoDeSaque": "12345678",
    }
    call.create(TXID, valor={"original": "0.00", "retirada": {"saque": cash}})
    value = {"original": "5.00", "retirada": {"saque": None, "troco": cash}}
    answer = call("PATCH", f"/cob/{TXID}", {"valor": value}, dialect="null for not set")
    assert answer.json["valor"]["retirada"] == {"troco": {**cash, "modalidadeAlteracao": 0}}


@pytest.mark.parametrize("payer", [{"name": "Ana"}, {"document": "12345678909"}])
def test_a_patch_keeps_a_payer_who_is_no_debtor(call, each_app, payer):
    """The other interface takes a name without a document; PATCH keeps what it does not name."""
    client = each_app.test_client()
    payment = client.post("/payments/pix", json={"value": 10, "payer": payer}).json["payment"]
    before = client.get("/payments/pix").json["data"][0]["payer"]
    path = f"/cob/{payment['id']}"
    assert call("PATCH", path, {}).json["revisao"] == 0
    assert call("PATCH", path, {"valor": {"original": "9.00"}}).json["revisao"] == 1
    after = client.get("/payments/pix").json["data"][0]
    assert (after["payer"], after["amount_centavos"]) == (before, 900)


@pytest.mark.parametrize("path", ["/api-pix/v2//cob/", "/api-pix//cob/", "/api-pix/v2/cob//"])
def test_two_slashes_are_one(call, each_app, path):
    """A base address with a slash at its end; a redirect would lose the token in many clients."""
    call.create(TXID)
    headers = {"Authorization": f"Bearer {demo_client(each_app).token(each_app)}"}
    answer = each_app.test_client().get(f"{path}{TXID}", headers=headers)
    assert (answer.status_code, answer.json["txid"]) == (200, TXID)


@pytest.mark.parametrize("kind", ["cob", "cobv"])
def test_a_token_that_is_missing_counts_before_a_malformed_txid(each_app, kind):
    """SDKs ask for a new token on 401 only."""
    answer = each_app.test_client().put(f"/api-pix/v2/{kind}/short", json={})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_charge_with_a_txid_of_its_merchant_is_not_renewed(call, each_app, clock):
    """Money for a renewal has a txid that the merchant has never seen."""
    call.create(TXID)
    client = each_app.test_client()
    number = client.get("/payments/pix").json["data"][0]["id"]
    clock.advance(seconds=3601)
    assert client.post(f"/payments/pix/{number}/renew").status_code == 409
    page = client.get(f"/payments/pix/{number}", headers={"Accept": "text/html"}).text
    assert "/renew" not in page
    assert call("GET", f"/cob/{TXID}").json["status"] == "ATIVA"


def test_a_renewed_payment_is_not_made_payable_again(call, each_app, clock):
    """The payer would have two codes for one thing; other revisions are allowed."""
    client = each_app.test_client()
    number = call("POST", "/cob", call.body(calendario={"expiracao": 60})).json["txid"]
    clock.advance(seconds=61)
    assert client.post(f"/payments/pix/{number}/renew").status_code == 201
    refusal = call("PATCH", f"/cob/{number}", {"calendario": {"expiracao": 9000}})
    assert paths_of(refusal, "CobOperacaoInvalida") == ["cob.calendario.expiracao"]
    text = call("PATCH", f"/cob/{number}", {"solicitacaoPagador": "Mesa 5"})
    assert (text.status_code, text.json["revisao"]) == (200, 1)
    clock.advance(seconds=61)
    later = call("PATCH", f"/cob/{number}", {"calendario": {"expiracao": 90000}})
    assert later.status_code == 200


def test_an_expired_charge_of_an_order_may_change_its_text(call, each_app, clock):
    """Only a later deadline would give the order a second live payment."""
    client = each_app.test_client()
    old = {"value": 10, "order_id": "A", "expires_in": 60}
    number = client.post("/payments/pix", json=old).json["payment"]["id"]
    clock.advance(seconds=61)
    assert client.post("/payments/pix", json=old).status_code == 201
    text = call("PATCH", f"/cob/{number}", {"solicitacaoPagador": "Mesa 5"})
    assert text.status_code == 200
    refusal = call("PATCH", f"/cob/{number}", {"calendario": {"expiracao": 9000}})
    assert paths_of(refusal, "CobOperacaoInvalida") == ["cob.calendario.expiracao"]


def test_violations_of_the_schema_do_not_hide_those_of_the_account(call):
    """Who mends a body sees everything that is wrong with it."""
    body = call.body(
        chave="other@example.com", valor={"original": "1"}, calendario={"expiracao": 0}
    )
    answer = call("POST", "/cob", body)
    assert paths_of(answer, "CobOperacaoInvalida") == ["cob.valor.original", "cob.chave"]
