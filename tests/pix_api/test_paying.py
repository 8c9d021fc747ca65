"""A charge of API Pix at the simulated bank: paid, live, refunded, told; by client and robot."""

from __future__ import annotations

import pytest

from payments import robot
from repository.database import reading
from tests.pix_api.charges import EVER, DemoCalls, paths_of
from tests.pix_api.clients import new_client
from tests.pix_api.recurrences import offer, reserve
from tests.portal.signing import make_account
from tests.support.town import town

TXID, OTHER = "a" * 30, "b" * 30


@pytest.fixture
def here(any_database_url, tmp_path):
    """The service and the bank on each engine."""
    with town(any_database_url, tmp_path) as new_town:
        yield new_town


@pytest.fixture
def call(here):
    """The demo merchant's calls."""
    return DemoCalls(here.app)


def test_a_paid_charge_is_concluded_and_shows_its_pix(here, call):
    charge = call.create(TXID)
    paid = here.pay({"pix_code": charge["pixCopiaECola"]})
    after = call("GET", f"/cob/{TXID}").json
    assert after["status"] == "CONCLUIDA"
    [pix] = after["pix"]
    assert (pix["txid"], pix["valor"]) == (TXID, "10.00")
    assert pix["endToEndId"] == paid["end_to_end_id"]
    assert call("GET", f"/pix/{pix['endToEndId']}").json == pix
    [listed] = call("GET", "/pix", query_string={**EVER, "txid": TXID}).json["pix"]
    assert listed == pix
    refund = call("PUT", f"/pix/{pix['endToEndId']}/devolucao/1", {"valor": "4.00"})
    assert refund.status_code == 201
    assert call("GET", f"/cob/{TXID}").json["status"] == "CONCLUIDA"
    assert call("GET", f"/cob/{TXID}").json["pix"][0]["devolucoes"][0]["valor"] == "4.00"
    again = call("PUT", f"/cob/{TXID}", call.body())
    assert (again.status_code, paths_of(again, "CobOperacaoInvalida")) == (400, ["cob.status"])
    [payment] = here.client().get("/payments/pix").json["data"]
    assert (payment["status"], payment["end_to_end_id"]) == ("confirmed", paid["end_to_end_id"])
    assert here.audit().faults == ()


def test_two_merchants_may_use_one_txid(here, call):
    """Each is paid for its own charge, because the bank names the payment by its id."""
    make_account(here.app, "alice")
    client = here.client()
    charge = call.create(TXID)
    headers = {"Authorization": f"Bearer {new_client(here.app, 'alice').token(here.app)}"}
    with here.app.app_context(), reading() as work:
        key = work.accounts.by_login("alice").pix_key
    other = client.put(
        f"/api-pix/v2/cob/{TXID}", json={**call.body(), "chave": key}, headers=headers
    )
    assert other.status_code == 201, other.text
    here.pay({"pix_code": other.json["pixCopiaECola"]})
    assert call("GET", f"/cob/{TXID}").get_json()["status"] == "ATIVA"
    hers = client.get(f"/api-pix/v2/cob/{TXID}", headers=headers).json
    assert hers["status"] == "CONCLUIDA"
    here.pay({"pix_code": charge["pixCopiaECola"]})
    assert call("GET", f"/cob/{TXID}").get_json()["status"] == "CONCLUIDA"


def test_a_bank_may_name_a_charge_by_the_txid_of_its_payload(app, bank):
    """As long as no other merchant has the same txid: then the money goes back."""
    demo = DemoCalls(app)
    demo.create(TXID)
    demo.create(OTHER)
    assert bank.confirm({"id": TXID, "value": 10}).status_code == 200
    assert demo("GET", f"/cob/{TXID}").get_json()["status"] == "CONCLUIDA"
    make_account(app, "alice")
    headers = {"Authorization": f"Bearer {new_client(app, 'alice').token(app)}"}
    with app.app_context(), reading() as work:
        key = work.accounts.by_login("alice").pix_key
    hers = {**demo.body(), "chave": key}
    url = f"/api-pix/v2/cob/{OTHER}"
    assert app.test_client().put(url, json=hers, headers=headers).status_code == 201
    assert bank.confirm({"id": OTHER, "value": 10}).status_code == 404
    assert demo("GET", f"/cob/{OTHER}").get_json()["status"] == "ATIVA"


def test_the_payer_pays_another_sum_for_an_open_amount(here, call):
    charge = call.create(TXID, valor={"original": "10.00", "modalidadeAlteracao": 1})
    here.pay({"pix_code": charge["pixCopiaECola"]}, value="12.34")
    after = call("GET", f"/cob/{TXID}").json
    assert (after["status"], after["valor"]["original"]) == ("CONCLUIDA", "10.00")
    assert after["pix"][0]["valor"] == "12.34"
    [payment] = here.client().get("/payments/pix").json["data"]
    assert payment["value"] == 12.34
    end_to_end_id = after["pix"][0]["endToEndId"]
    whole = call("PUT", f"/pix/{end_to_end_id}/devolucao/all", {"valor": "12.34"})
    assert whole.status_code == 201


def test_a_withdrawal_is_paid_with_the_purchase(here, call):
    troco = {
        "valor": "20.00",
        "modalidadeAgente": "AGTEC",
        "prestadorDoServicoDeSaque": "12345678",
    }
    charge = call.create(TXID, valor={"original": "5.00", "retirada": {"troco": troco}})
    here.pay({"pix_code": charge["pixCopiaECola"]})
    after = call("GET", f"/cob/{TXID}").json
    assert after["pix"][0]["valor"] == "25.00"
    assert after["valor"]["original"] == "5.00"


def test_refunds_of_a_withdrawal_are_limited_by_part(here, call):
    """The purchase and the cash each have their own limit (API Pix 2.9.0, natureza)."""
    saque = {
        "valor": "20.00",
        "modalidadeAlteracao": 1,
        "modalidadeAgente": "AGTEC",
        "prestadorDoServicoDeSaque": "12345678",
    }
    charge = call.create(TXID, valor={"original": "5.00", "retirada": {"troco": saque}})
    less = here.bank_app.test_client().post(
        "/api/pay", json={"code": charge["pixCopiaECola"], "pin": "1234", "value": "4.99"}
    )
    assert less.get_json()["status"] == "returned"
    paid = here.pay({"pix_code": charge["pixCopiaECola"]}, value="25.00")
    path = f"/pix/{paid['end_to_end_id']}/devolucao"
    for number, valor, natureza, status in (
        (1, "5.01", "ORIGINAL", 400),
        (2, "3.00", "ORIGINAL", 201),
        (3, "2.01", "ORIGINAL", 400),
        (4, "20.01", "RETIRADA", 400),
        (5, "20.00", "RETIRADA", 201),
        (5, "20.00", "ORIGINAL", 400),
        (6, "0.01", "RETIRADA", 400),
        (7, "2.00", "ORIGINAL", 201),
    ):
        answer = call("PUT", f"{path}/{number}", {"valor": valor, "natureza": natureza})
        assert answer.status_code == status, (number, answer.text)
        if status == 201:
            assert answer.get_json()["natureza"] == natureza
    pix = call("GET", f"/cob/{TXID}").get_json()["pix"][0]
    assert pix["componentesValor"]["original"]["valor"] == "5.00"
    assert pix["componentesValor"]["troco"]["valor"] == "20.00"
    assert here.audit().faults == ()


def test_the_robot_pays_on_order_in_development(here, call):
    call.create(TXID)
    answer = call("POST", f"/cob/pagar/{TXID}")
    assert (answer.status_code, answer.json["txid"]) == (200, TXID)
    assert call("POST", f"/cob/pagar/{TXID}").status_code == 200
    with here.app.app_context():
        assert robot.run() == 1
    here.branch.robot.pay_due()
    assert call("GET", f"/cob/{TXID}").json["status"] == "CONCLUIDA"
    refusal = call("POST", f"/cob/pagar/{TXID}")
    assert (refusal.status_code, paths_of(refusal, "CobOperacaoInvalida")) == (400, ["cob.status"])
    assert call("POST", f"/cob/pagar/{OTHER}").status_code == 404


def test_the_code_of_a_location_is_shown_as_a_picture(here, call):
    charge = call.create(TXID)
    answer = call("GET", f"/loc/{charge['loc']['id']}/qrcode").json
    assert answer["qrcode"] == charge["pixCopiaECola"]
    assert answer["imagemQrcode"].startswith("data:image/png;base64,iVBOR")
    assert here.client().get(answer["linkVisualizacao"].removeprefix(here.url)).status_code == 200
    reserved = call("POST", "/loc", {"tipoCob": "cob"}).json
    waiting = call("GET", f"/loc/{reserved['id']}/qrcode").json
    assert reserved["location"] in waiting["qrcode"]
    assert "linkVisualizacao" not in waiting
    assert call.create(OTHER, loc={"id": reserved["id"]})["pixCopiaECola"] == waiting["qrcode"]
    assert call("GET", "/loc/7/qrcode").status_code == 404


def test_a_payment_without_a_page_takes_no_code_that_accepts_a_recurrence(fresh_database, tmp_path):
    """The API of payers shows no terms, so nobody can have agreed to them."""
    with town(fresh_database("sqlite"), tmp_path) as here:
        call = DemoCalls(here.app)
        call.create(TXID)
        activation = {"dadosJornada": {"txid": TXID}}
        rec = offer(call, here.clock, loc=reserve(call)["id"], ativacao=activation)
        path = f"/rec/{rec['idRec']}"
        before = here.balance()
        for address in (path, f"{path}?txid={TXID}"):
            code = call("GET", address).get_json()["dadosQR"]["pixCopiaECola"]
            with pytest.raises(AssertionError, match="Pix Autom"):
                here.pay({"pix_code": code})
        assert here.balance() == before
        assert call("GET", f"/cob/{TXID}").get_json()["status"] == "ATIVA"
        assert call("GET", path).get_json()["status"] == "CRIADA"
