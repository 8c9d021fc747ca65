"""A merchant at a real bank: what it can do by API Pix, and what is refused before it is stored."""

from __future__ import annotations

import pytest

from payments.at_bank import waiting
from providers.port import ProviderAway, ProviderRefusal
from tests.pix_api.charges import DemoCalls
from tests.providers.scripted_bank import code_of

TXID = "a" * 30
REMOVED = {"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"}


@pytest.fixture
def call(app, account):
    """The demo merchant's calls of API Pix; its charges go to the real bank."""
    return DemoCalls(app)


def test_a_charge_of_api_pix_has_the_code_and_location_of_the_bank(call, rows, scripted):
    """The client keeps its txid, the bank gets the payment's id, and a repeat opens nothing."""
    charge = call.create(TXID)
    [sent] = scripted.opened
    assert (charge["txid"], charge["status"]) == (TXID, "ATIVA")
    assert charge["pixCopiaECola"] == code_of(sent.txid)
    assert charge["location"] == charge["loc"]["location"] == f"bank.example/pix/v2/{sent.txid}"
    assert call("PUT", f"/cob/{TXID}", call.body()).json == charge
    assert len(scripted.opened) == 1
    assert (sent.payer_name, sent.payer_document) == ("Ana Souza", "12345678909")


def test_a_bank_without_an_answer_is_a_503_that_a_repeat_finishes(call, scripted, monkeypatch):
    """In the form of the standard, and with the same txid at the bank."""
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.2)
    scripted.errors = [ProviderAway("timeout")]
    assert call("PUT", f"/cob/{TXID}", call.body()).status_code == 503
    assert call("PUT", f"/cob/{TXID}", call.body()).status_code == 201
    assert len({charge.txid for charge in scripted.opened}) == 1


def test_a_refused_charge_is_a_violation(call, scripted):
    """The bank's sentence reaches the client."""
    scripted.errors = [ProviderRefusal("CobOperacaoInvalida", "A chave não é sua.")]
    answer = call("PUT", f"/cob/{TXID}", call.body())
    assert answer.status_code == 400
    assert "A chave não é sua." in answer.json["detail"]


def test_a_charge_at_a_real_bank_is_removed_but_never_changed(call, rows, scripted):
    """A payer may hold the code already; a removal is carried out at the bank."""
    call.create(TXID)
    for method in ("PUT", "PATCH"):
        body = call.body(valor={"original": "11.00"})
        answer = call(method, f"/cob/{TXID}", body)
        assert answer.status_code == 400, answer.text
    removed = call("PATCH", f"/cob/{TXID}", REMOVED)
    assert removed.json["status"] == REMOVED["status"]
    assert rows.charge_row(scripted.opened[0].txid).status == "closing"


@pytest.mark.parametrize(
    "value",
    [
        {"original": "10.00", "modalidadeAlteracao": 1},
        {
            "original": "0.00",
            "retirada": {
                "saque": {
                    "valor": "20.00",
                    "modalidadeAgente": "AGPSS",
                    "prestadorDoServicoDeSaque": "12345678",
                }
            },
        },
    ],
)
def test_amounts_that_only_the_simulated_bank_knows_are_refused(call, scripted, value):
    """Nothing is opened at the bank with other terms than the client asked for."""
    answer = call("PUT", f"/cob/{TXID}", call.body(valor=value))
    assert answer.status_code == 400
    assert "O banco deste recebedor" in answer.json["detail"]
    assert scripted.opened == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", f"/cobv/{TXID}"),
        ("PUT", "/lotecobv/1"),
        ("POST", "/loc"),
        ("POST", "/locrec"),
        ("POST", "/rec"),
        ("POST", "/solicrec"),
        ("POST", "/cobr"),
        ("PUT", f"/cobr/{TXID}"),
    ],
)
def test_resources_that_only_the_simulated_bank_has_are_refused(call, method, path):
    """Before anything is stored, in the form of the standard."""
    answer = call(method, path, {}, dialect="the body is not read")
    assert answer.status_code == 400
    assert "O banco deste recebedor" in answer.json["detail"]


def test_the_service_signs_no_payload_of_a_charge_at_a_bank(call, client, rows, scripted):
    """The bank's own location has it."""
    call.create(TXID)
    payment = rows.payment_row(scripted.opened[0].txid)
    assert client.get(f"/qr/v2/{payment.watch_code}").status_code == 404
