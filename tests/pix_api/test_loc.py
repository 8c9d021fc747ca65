"""`/loc`: reserve a location, let it show one charge after another, read and list."""

from __future__ import annotations

import pytest

from tests.pix_api.charges import EVER, DemoCalls, paths_of
from tests.pix_api.clients import new_client
from tests.portal.signing import make_account

TXID, OTHER = "a" * 30, "b" * 30
INVALID = "CobOperacaoInvalida"


@pytest.fixture
def call(each_app):
    """The demo merchant's calls, on each engine."""
    return DemoCalls(each_app)


def token_of(location):
    return location["location"].rsplit("/", 1)[1]


def test_a_location_is_reserved_and_shows_a_charge_later(call, each_app):
    answer = call("POST", "/loc", {"tipoCob": "cob"})
    location = answer.json
    assert answer.status_code == 201
    assert answer.headers["Location"].endswith(f"/api-pix/v2/loc/{location['id']}")
    assert 0 <= location["id"] < 2**53
    client = each_app.test_client()
    assert client.get(f"/qr/v2/{token_of(location)}").status_code == 404
    charge = call.create(TXID, loc={"id": location["id"]})
    assert charge["loc"] == {**location, "txid": TXID}
    assert charge["location"] in charge["pixCopiaECola"]
    assert client.get(f"/qr/v2/{token_of(location)}").status_code == 200
    assert call("GET", f"/loc/{location['id']}").json == {**location, "txid": TXID}


def test_a_charge_moves_to_another_location_without_a_revision(call, each_app):
    first = call.create(TXID)
    location = call("POST", "/loc", {"tipoCob": "cob"}).json
    moved = call("PATCH", f"/cob/{TXID}", {"loc": {"id": location["id"]}}).json
    assert (moved["loc"]["id"], moved["revisao"]) == (location["id"], 0)
    assert moved["pixCopiaECola"] != first["pixCopiaECola"]
    assert "txid" not in call("GET", f"/loc/{first['loc']['id']}").json
    client = each_app.test_client()
    assert client.get(f"/qr/v2/{token_of(first)}").status_code == 404
    assert client.get(f"/qr/v2/{token_of(location)}").status_code == 200
    again = call.create(TXID, loc={"id": first["loc"]["id"]})
    assert again["pixCopiaECola"] == first["pixCopiaECola"]
    assert client.get(f"/qr/v2/{token_of(first)}").status_code == 200


def test_an_unbound_location_waits_for_the_next_charge(call, each_app):
    charge = call.create(TXID)
    number = charge["loc"]["id"]
    free = call("DELETE", f"/loc/{number}/txid")
    assert (free.status_code, "txid" in free.json) == (200, False)
    assert call("DELETE", f"/loc/{number}/txid").json == free.json
    unshown = call("GET", f"/cob/{TXID}").json
    assert unshown["status"] == "ATIVA"
    assert not {"loc", "location", "pixCopiaECola"} & unshown.keys()
    next_charge = call.create(OTHER, loc={"id": number})
    assert next_charge["pixCopiaECola"] == charge["pixCopiaECola"]
    client = each_app.test_client()
    assert client.get(f"/qr/v2/{token_of(charge)}").status_code == 200


def test_a_location_shows_one_active_charge_and_is_free_after_a_final_one(call):
    number = call.create(TXID)["loc"]["id"]
    refusal = call("PUT", f"/cob/{OTHER}", call.body(loc={"id": number}))
    assert (refusal.status_code, paths_of(refusal, INVALID)) == (400, ["cob.loc.id"])
    call("PATCH", f"/cob/{TXID}", {"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"})
    assert call.create(OTHER, loc={"id": number})["loc"]["id"] == number
    assert "loc" not in call("GET", f"/cob/{TXID}").json


def test_a_location_of_the_other_type_is_refused(call):
    number = call("POST", "/loc", {"tipoCob": "cobv"}).json["id"]
    answer = call("PUT", f"/cob/{TXID}", call.body(loc={"id": number}))
    assert (answer.status_code, paths_of(answer, INVALID)) == (400, ["cob.loc.id"])


def test_a_list_has_own_and_reserved_locations(call):
    number = call.create(TXID)["loc"]["id"]
    reserved = call("POST", "/loc", {"tipoCob": "cobv"}).json["id"]

    def numbers(**query):
        body = call("GET", "/loc", query_string={**EVER, **query}).json
        assert body["parametros"]["paginacao"]["quantidadeTotalDeItens"] >= len(body["loc"])
        return {location["id"] for location in body["loc"]}

    assert numbers() == {number, reserved}
    assert numbers(txIdPresente="true") == {number}
    assert numbers(txIdPresente="false") == {reserved}
    assert numbers(tipoCob="cobv") == {reserved}
    pages = [
        numbers(**{"paginacao.itensPorPagina": 1, "paginacao.paginaAtual": n}) for n in range(3)
    ]
    assert [len(page) for page in pages] == [1, 1, 0]
    assert pages[0] | pages[1] == {number, reserved}


@pytest.mark.parametrize("body", [{}, {"tipoCob": "cobr"}, {"tipoCob": 1}, {"tipoCob": None}])
def test_a_reservation_names_its_type(app, body):
    answer = DemoCalls(app)("POST", "/loc", body)
    assert answer.status_code == 400
    assert paths_of(answer, "PayloadLocationOperacaoInvalida") == ["loc.tipoCob"]


@pytest.mark.parametrize("number", ["0", "x", "-1", "9" * 19, "9" * 30, "1.5"])
def test_an_unknown_location_is_not_found(app, number):
    call = DemoCalls(app)
    for method, path in (("GET", f"/loc/{number}"), ("DELETE", f"/loc/{number}/txid")):
        answer = call(method, path)
        assert answer.status_code == 404
        assert answer.get_json()["type"].endswith("/PayloadLocationNaoEncontrado")


def test_another_merchants_location_is_not_found(app):
    number = DemoCalls(app).create(TXID)["loc"]["id"]
    make_account(app, "alice")
    headers = {"Authorization": f"Bearer {new_client(app, 'alice').token(app)}"}
    client = app.test_client()
    assert client.get(f"/api-pix/v2/loc/{number}", headers=headers).status_code == 404
    assert client.delete(f"/api-pix/v2/loc/{number}/txid", headers=headers).status_code == 404
