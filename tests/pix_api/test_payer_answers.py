"""What a payer decides about a recurrence: told by the bank, signed, and asked of nobody else."""

from __future__ import annotations

import json
import re
from functools import partial

import pytest

from core.ids import new_txid
from payments.recurring import recurrences
from tests.bank.conftest import hidden_fields
from tests.http.checks import problem
from tests.pix_api.charges import DemoCalls
from tests.pix_api.recurrences import change, offer, reserve
from tests.support.payer_bank import send_orders
from tests.support.town import town

PATH = "/payments/pix/recurrences/answer"
BIA, OTHER = "52998224725", "12345678909"
UNKNOWN = "RN9999900420260101abcdefghijk"


@pytest.fixture
def call(app):
    """The demo merchant's calls."""
    return DemoCalls(app)


@pytest.fixture
def tell(bank):
    """Send a signed decision: tell(id_rec, answer, …)."""

    def send(id_rec, answer="accepted", document=BIA, **members):
        body = {
            "id_rec": id_rec,
            "answer": answer,
            "journey": 2,
            "payer": {"name": "Bia Andrade", "document": document},
            "ispb": "99999004",
            **members,
        }
        data = json.dumps(body).encode()
        return bank.client.post(PATH, data=data, headers=bank.headers(data))

    return send


def charge(call):
    """An immediate charge of 10.00; its txid."""
    txid = new_txid()
    call.create(txid)
    return txid


def test_an_acceptance_approves_with_journey_and_payer(call, tell, clock):
    """And a repeated one changes nothing."""
    rec = offer(call, clock)["idRec"]
    first, second = tell(rec, municipality="2611606"), tell(rec, municipality="2611606")
    assert first.get_json()["recurrence"] == {"id_rec": rec, "status": "approved"}
    assert (first.get_json()["duplicate"], second.get_json()["duplicate"]) == (False, True)
    body = call("GET", f"/rec/{rec}").get_json()
    assert (body["status"], body["ativacao"]) == ("APROVADA", {"tipoJornada": "JORNADA_2"})
    expected = {"cpf": BIA, "ispbParticipante": "99999004", "codMun": "2611606"}
    assert body["pagador"] == expected
    assert [step["status"] for step in body["atualizacao"]] == ["CRIADA", "APROVADA"]


def test_a_refusal_rejects_and_a_cancellation_names_the_payer(call, tell, clock):
    refused, cancelled = offer(call, clock)["idRec"], offer(call, clock)["idRec"]
    for duplicate in (False, True):
        assert tell(refused, "refused").get_json()["duplicate"] is duplicate
    body = call("GET", f"/rec/{refused}").get_json()
    assert (body["status"], body["encerramento"]["rejeicao"]["codigo"]) == ("REJEITADA", "AP13")
    tell(cancelled)
    for duplicate in (False, True):
        assert tell(cancelled, "cancelled", journey=None).get_json()["duplicate"] is duplicate
    ending = call("GET", f"/rec/{cancelled}").get_json()["encerramento"]["cancelamento"]
    assert (ending["solicitante"], ending["codigo"]) == ("USUARIO_PAGADOR", "SLDB")


@pytest.mark.parametrize("answer", ["accepted", "refused", "cancelled"])
def test_what_has_ended_or_is_taken_is_a_409_with_its_code(app, call, tell, clock, answer):
    """The bank tells its client why."""
    ended, accepted = offer(call, clock)["idRec"], offer(call, clock)["idRec"]
    change(app, ended, recurrences.cancel)
    assert tell(accepted, document=OTHER).status_code == 200
    problem(tell(ended, answer), 409, "recurrence-ended")
    problem(tell(accepted, answer), 409, "recurrence-taken")
    problem(tell(UNKNOWN, answer), 404, "recurrence-not-found")


def test_an_acceptance_that_the_merchant_ended_is_not_repeated(app, call, tell, clock):
    """Though the bank's first answer was lost, its client must hear that it has ended."""
    rec = offer(call, clock)["idRec"]
    tell(rec)
    change(app, rec, recurrences.cancel)
    problem(tell(rec), 409, "recurrence-ended")
    problem(tell(rec, "cancelled"), 409, "recurrence-ended")


def test_only_what_was_accepted_can_be_cancelled_and_only_before_refused(call, tell, clock):
    rec = offer(call, clock)["idRec"]
    problem(tell(rec, "cancelled"), 409, "recurrence-unchangeable")
    tell(rec)
    problem(tell(rec, "refused"), 409, "recurrence-unchangeable")


def test_a_wrong_signature_changes_nothing(app, call, bank, clock):
    rec = offer(call, clock)["idRec"]
    body = {"id_rec": rec, "answer": "refused", "payer": {"document": BIA}, "ispb": "99999004"}
    data = json.dumps(body).encode()
    headers = bank.headers(data)
    problem(app.test_client().post(PATH, data=data + b" ", headers=headers), 401, "bad-signature")
    problem(app.test_client().post(PATH, data=data), 401, "bad-signature")
    assert call("GET", f"/rec/{rec}").get_json()["status"] == "CRIADA"


def test_the_third_journey_waits_for_the_payment_of_its_charge(call, tell, clock, bank):
    """425, which the bank repeats, in whatever order its two messages arrive."""
    txid = charge(call)
    rec = offer(call, clock, ativacao={"dadosJornada": {"txid": txid}})["idRec"]
    accept = partial(tell, rec, journey=3)
    problem(accept(txid=txid), 425, "activation-unpaid")
    problem(accept(txid=charge(call)), 409, "activation-wrong")
    clock.advance(seconds=3601)  # what was paid in time may still be told
    problem(accept(txid=txid), 425, "activation-unpaid")
    assert call("GET", f"/rec/{rec}").get_json()["status"] == "CRIADA"
    clock.advance(seconds=-3601)
    payer = {"name": "Bia Andrade", "document": BIA}
    assert bank.confirm({"id": txid, "value": 10.0}, payer=payer).status_code == 200
    problem(accept(txid=txid, document=OTHER), 409, "recurrence-taken")
    for duplicate in (False, True):
        assert accept(txid=txid).get_json()["duplicate"] is duplicate
    activation = call("GET", f"/rec/{rec}").get_json()["ativacao"]
    assert activation == {"tipoJornada": "JORNADA_3", "dadosJornada": {"txid": txid}}


def test_a_charge_that_the_merchant_removed_accepts_nothing(call, tell, clock):
    txid = charge(call)
    rec = offer(call, clock, ativacao={"dadosJornada": {"txid": txid}})["idRec"]
    removal = {"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"}
    assert call("PATCH", f"/cob/{txid}", removal).status_code == 200
    problem(tell(rec, journey=3, txid=txid), 409, "activation-wrong")


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"id_rec": "x"}, "id_rec"),
        ({"answer": "maybe"}, "answer"),
        ({"journey": None}, "journey"),
        ({"journey": 5}, "journey"),
        ({"journey": 3}, "txid"),
        ({"journey": 3, "txid": "x"}, "txid"),
        ({"payer": {"document": "***"}}, "payer.document"),
        ({"payer": None}, "payer"),
        ({"ispb": "9"}, "ispb"),
        ({"municipality": "x"}, "municipality"),
    ],
)
def test_a_decision_is_read_strictly(tell, members, field):
    """Unlike a confirmation: no money goes back, and a wrong payer would stay for years."""
    error = problem(tell(**{"id_rec": UNKNOWN, **members}), 400, "invalid-request")
    assert [entry["field"] for entry in error["errors"]] == [field]


def test_bia_authorises_and_cancels_at_the_simulated_bank(fresh_database, tmp_path):
    """The second journey: code, terms, PIN; the merchant's client sees each step.

    When the merchant cancels, the bank's client sees it.
    """
    with town(fresh_database("sqlite"), tmp_path) as here:
        call = DemoCalls(here.app)
        rec = offer(call, here.clock, loc=reserve(call)["id"])
        path = f"/rec/{rec['idRec']}"
        code = call("GET", path).get_json()["dadosQR"]["pixCopiaECola"]
        client = here.bank_app.test_client()
        post = partial(client.post, follow_redirects=True)
        login = hidden_fields(client.get("/login").text)
        post("/login", data={**login, "login": "bia", "pin": "1234"})
        review = client.get("/pay", query_string={"code": code}, follow_redirects=True)
        assert "Assinatura mensal" in review.text
        form = {**hidden_fields(review.text), "pin": "1234"}
        assert "Pix Automático autorizado" in post("/mandates/authorise", data=form).text
        body = call("GET", path).get_json()
        assert (body["status"], body["ativacao"]["tipoJornada"]) == ("APROVADA", "JORNADA_2")
        assert re.fullmatch(r"\d{11}", body["pagador"]["cpf"])
        assert body["pagador"]["ispbParticipante"] == here.branch.settings.ispb
        question = client.get(f"/mandates/{rec['idRec']}/cancel")
        page = post(f"/mandates/{rec['idRec']}/cancel", data=hidden_fields(question.text))
        assert "Pix Automático cancelado" in page.text
        body = call("GET", path).get_json()
        assert body["status"] == "CANCELADA"
        assert body["encerramento"]["cancelamento"]["solicitante"] == "USUARIO_PAGADOR"

        second = offer(call, here.clock, loc=reserve(call)["id"])["idRec"]
        path = f"/rec/{second}"
        code = call("GET", path).get_json()["dadosQR"]["pixCopiaECola"]
        review = client.get("/pay", query_string={"code": code}, follow_redirects=True)
        post("/mandates/authorise", data={**hidden_fields(review.text), "pin": "1234"})
        assert call("PATCH", path, {"status": "CANCELADA"}).status_code == 200
        assert send_orders(here.app) == 1
        page = client.get(f"/mandates/{second}")
        assert "A empresa cancelou este Pix Automático" in page.text
