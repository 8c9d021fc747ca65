"""`/locrec`, and the signed payload that the location of a recurrence serves."""

from __future__ import annotations

import base64
import json

import pytest
from jsonschema_rs import Draft202012Validator
from sqlalchemy import update

from db_models import Account
from payments.recurring import recurrences
from repository.database import in_unit_of_work
from scripts.api_pix.additions import full_document
from scripts.api_pix.served import validator_of
from tests.pix_api.charges import EVER, DemoCalls, paths_of
from tests.pix_api.recurrences import REJECTION, accept, change, offer, reserve

MISSING = "PayloadLocationRecNaoEncontrado"


@pytest.fixture
def call(each_app):
    """The demo merchant's calls, on each engine."""
    return DemoCalls(each_app)


def address(location):
    return f"/{location['location'].partition('/')[2]}"


def test_a_location_waits_shows_and_waits_again(call, each_app, clock):
    answer = call("POST", "/locrec")
    location = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Location"].endswith(f"/api-pix/v2/locrec/{location['id']}")
    assert 0 <= location["id"] < 2**53
    assert call("GET", f"/locrec/{location['id']}").get_json() == location
    rec = offer(call, clock, loc=location["id"])
    bound = {**location, "idRec": rec["idRec"]}
    assert call("GET", f"/locrec/{location['id']}").get_json() == bound
    accept(each_app, rec["idRec"])
    path = f"/locrec/{location['id']}/idRec"
    for _ in range(2):
        answer = call("DELETE", path)
        assert (answer.status_code, answer.get_json()) == (200, location)
    body = call("GET", f"/rec/{rec['idRec']}").get_json()
    assert (body["status"], "loc" in body, "dadosQR" in body) == ("APROVADA", False, False)
    assert offer(call, clock, loc=location["id"])["loc"]["location"] == location["location"]


def test_a_list_has_filters_and_pages(call, clock):
    bound = reserve(call)["id"]
    clock.advance(seconds=1)
    free = reserve(call)["id"]
    offer(call, clock, loc=bound, recebedor={"convenio": "Master"})

    def numbers(**query):
        body = call("GET", "/locrec", query_string={**EVER, **query}).get_json()
        return [location["id"] for location in body["loc"]]

    assert numbers() == [bound, free]
    assert numbers(idRecPresente="true") == numbers(convenio="Master") == [bound]
    assert numbers(idRecPresente="false") == [free]
    pages = [
        numbers(**{"paginacao.itensPorPagina": 1, "paginacao.paginaAtual": n}) for n in range(3)
    ]
    assert pages == [[bound], [free], []]
    answer = call("GET", "/locrec", query_string={**EVER, "idRecPresente": "sim"})
    assert paths_of(answer, "PayloadLocationRecConsultaInvalida") == ["idRecPresente"]


@pytest.mark.parametrize("number", ["0", "x", "-1", "9" * 19, "9" * 30])
def test_an_unknown_location_is_not_found(app, number):
    call = DemoCalls(app)
    for method, path in (("GET", f"/locrec/{number}"), ("DELETE", f"/locrec/{number}/idRec")):
        answer = call(method, path)
        assert answer.status_code == 404
        assert answer.get_json()["type"].endswith(f"/{MISSING}")


def payload_of(answer):
    """The members of a signed payload; the signature is that of every payload."""
    assert (answer.status_code, answer.mimetype) == (200, "application/jose")
    assert answer.headers["Cache-Control"] == "no-store"
    part = answer.text.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_the_location_serves_the_signed_terms(call, each_app, clock):
    location = reserve(call)
    client = each_app.test_client()
    assert client.get(address(location)).status_code == 404
    rec = offer(call, clock, loc=location["id"])
    body = payload_of(client.get(address(location)))
    schema = {"$ref": "#/components/schemas/RecPayload"}
    validator: Draft202012Validator = validator_of(schema, full_document())
    assert list(validator.iter_errors(body)) == []
    for name in ("idRec", "vinculo", "calendario", "valor", "politicaRetentativa", "atualizacao"):
        assert body[name] == rec[name]
    assert body["recebedor"] == {**rec["recebedor"], "ispbParticipante": "99999004"}
    accept(each_app, rec["idRec"])
    steps = payload_of(client.get(address(location)))["atualizacao"]
    assert [step["status"] for step in steps] == ["CRIADA", "APROVADA"]


def give_document(app, document):
    """What the portal stores as the demo merchant's document."""

    def write(work):
        account = update(Account).where(Account.login == "demo")
        work.session.execute(account.values(document=document))

    with app.app_context():
        in_unit_of_work(write)


def test_the_payee_stays_when_the_account_gets_another_document(call, each_app, clock):
    """The payer agrees to a company; a person's CPF would break the contract, too."""
    location = reserve(call)
    rec = offer(call, clock, loc=location["id"])
    for document in ("12345678909", None):
        give_document(each_app, document)
        assert call("GET", f"/rec/{rec['idRec']}").get_json()["recebedor"] == rec["recebedor"]
        payload = payload_of(each_app.test_client().get(address(location)))
        assert payload["recebedor"] == {**rec["recebedor"], "ispbParticipante": "99999004"}


def test_a_location_refuses_in_the_words_of_the_standard(app, clock):
    call = DemoCalls(app)
    location = reserve(call)
    client = app.test_client()
    for path in (address(location), f"/qr/v2/rec/{'0' * 32}", "/qr/v2/rec/x"):
        answer = client.get(path)
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
        assert answer.get_json()["type"].endswith("/RecPayloadNaoEncontrado")
    rec = offer(call, clock, loc=location["id"])
    change(app, rec["idRec"], recurrences.reject, REJECTION)
    answer = client.get(address(location))
    assert paths_of(answer, "RecPayloadOperacaoInvalida") == ["recUrlAccessToken"]
    assert answer.status_code == 400
    for folder in ("", "cobv/"):
        token = address(location).rpartition("/")[2]
        assert client.get(f"/qr/v2/{folder}{token}").status_code == 404
