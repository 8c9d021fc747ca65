"""`/solicrec`: ask a payer to confirm a recurrence, by the payer's bank; the first journey."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from bank.money.payers import account_number, payer_by_handle
from core.clock import rfc3339
from core.errors import ConcurrentUpdate
from core.pix.business_days import brasilia_day
from core.pix.recurrence_rules import ID_SOLIC_REC
from db_models import Account, PayerBankOrder, RecurrenceRequest
from payments.privacy import PayerDataEraser, erase_payer, export_payer
from payments.recurring import recurrences, requests
from repository.database import in_unit_of_work, reading
from tests.bank.conftest import hidden_fields
from tests.db.tables import Tables
from tests.http.checks import problem
from tests.pix_api.charges import DemoCalls, paths_of
from tests.pix_api.clients import new_client
from tests.pix_api.recurrences import (
    PAYER,
    RECIPIENT,
    accept,
    change,
    offer,
    request_body,
    request_of,
    tell_decision,
)
from tests.portal.signing import make_account
from tests.support.payer_bank import payer_bank, send_orders
from tests.support.service import close_app, ready_app, settings_for
from tests.support.town import town

INVALID, MISSING = "SolicRecOperacaoInvalida", "SolicRecNaoEncontrada"
UNKNOWN_REC, UNKNOWN = "RN9999900420260101abcdefghijk", "SC9999900420260101abcdefghijk"
DAY = 86_400


@pytest.fixture
def payers_bank(clock):
    """The payer's bank, which records its orders."""
    with payer_bank(clock) as bank:
        yield bank


@pytest.fixture
def settings(fresh_database, tmp_path, payers_bank):
    """Settings with this bank; they take the place of the usual ones in this file."""
    return settings_for(fresh_database("sqlite"), tmp_path, bank_url=payers_bank.url)


@pytest.fixture
def call(app):
    """The demo merchant's calls."""
    return DemoCalls(app)


@pytest.fixture
def rec(call, clock):
    """The id of a recurrence that was offered."""
    return offer(call, clock)["idRec"]


def read(call, request):
    """The request's status, and the statuses of its history."""
    body = call("GET", f"/solicrec/{request['idSolicRec']}").get_json()
    return body["status"], [step["status"] for step in body["atualizacao"]]


def status_of(call, id_rec):
    """The recurrence's status."""
    return call("GET", f"/rec/{id_rec}").get_json()["status"]


def expiry(clock, **after):
    """The member `calendario`."""
    return {"dataExpiracaoSolicitacao": rfc3339(clock.now() + timedelta(**after))}


@pytest.mark.slow
def test_a_request_is_sent_received_and_taken_back(any_database_url, tmp_path, clock, payers_bank):
    """And the payer's bank hears of both, in this order, on every engine."""
    app = ready_app(settings_for(any_database_url, tmp_path, bank_url=payers_bank.url), clock)
    call = DemoCalls(app)
    rec = offer(call, clock)
    body = request_body(clock, rec["idRec"])
    request = call("POST", "/solicrec", body).get_json()
    assert ID_SOLIC_REC.fullmatch(request["idSolicRec"])
    assert {name: request[name] for name in body} == body
    assert request["recPayload"]["vinculo"] == rec["vinculo"]
    assert read(call, request) == ("CRIADA", ["CRIADA"])
    assert send_orders(app) == 1
    [(path, members)] = payers_bank.orders
    assert (path, members["id"]) == ("/api/mandate-requests", request["idSolicRec"])
    assert members["expires_at"] == body["calendario"]["dataExpiracaoSolicitacao"]
    assert members["recurrence"] == request["recPayload"]
    assert members["payer"] == {
        "document": PAYER,
        "ispb": "99999004",
        "account": "550689",
        "branch": "2569",
    }
    assert read(call, request) == ("RECEBIDA", ["CRIADA", "ENVIADA", "RECEBIDA"])
    path = f"/solicrec/{request['idSolicRec']}"
    answer = call("PATCH", path, {"status": "CANCELADA"})
    assert (answer.status_code, answer.get_json()["status"]) == (201, "CANCELADA")
    again = call("PATCH", path, {"status": "CANCELADA"})
    assert (again.status_code, paths_of(again, INVALID)) == (400, ["solicrec.status"])
    assert send_orders(app) == 1
    assert payers_bank.orders[1] == (
        "/api/mandate-requests/cancel",
        {"id": request["idSolicRec"]},
    )
    assert status_of(call, rec["idRec"]) == "CRIADA"
    assert request_of(call, clock, rec["idRec"])["status"] == "CRIADA", "another may follow"
    close_app(app)


def test_every_violation_is_told_at_once(app, call, clock, rec):
    """The standard's, and the end of a request after thirty days."""
    change(app, rec, recurrences.cancel)
    late = request_body(clock, rec, calendario=expiry(clock, seconds=0))
    answer = call("POST", "/solicrec", late)
    assert paths_of(answer, INVALID) == [
        "solicrec.calendario.dataExpiracaoSolicitacao",
        "solicrec.idRec",
    ]
    wrong = {"cpf": "12345678900", "ispbParticipante": "9", "conta": "1" * 21, "agencia": "12345"}
    body = {"idRec": "x", "calendario": {"dataExpiracaoSolicitacao": "x"}, "destinatario": wrong}
    assert sorted(paths_of(call("POST", "/solicrec", body), INVALID)) == [
        "solicrec.calendario.dataExpiracaoSolicitacao",
        "solicrec.destinatario.agencia",
        "solicrec.destinatario.conta",
        "solicrec.destinatario.cpf",
        "solicrec.destinatario.ispbParticipante",
        "solicrec.idRec",
    ]
    assert paths_of(call("POST", "/solicrec", {}), INVALID) == [
        "solicrec.idRec",
        "solicrec.calendario",
        "solicrec.destinatario",
    ]
    for number in ("12 34", "\N{ARABIC-INDIC DIGIT ONE}", "12\n"):
        recipient = {**RECIPIENT, "conta": number, "agencia": number[-4:]}
        answer = call("POST", "/solicrec", request_body(clock, rec, destinatario=recipient))
        assert sorted(paths_of(answer, INVALID)) == [
            "solicrec.destinatario.agencia",
            "solicrec.destinatario.conta",
        ]
    both = {**RECIPIENT, "cnpj": "12345678000195"}
    for recipient in (both, {name: RECIPIENT[name] for name in RECIPIENT if name != "cpf"}):
        answer = call("POST", "/solicrec", request_body(clock, rec, destinatario=recipient))
        assert paths_of(answer, INVALID) == ["solicrec.destinatario"]
    rec = offer(call, clock)["idRec"]
    far = request_body(clock, rec, calendario=expiry(clock, days=30, seconds=1))
    assert paths_of(call("POST", "/solicrec", far), INVALID) == [
        "solicrec.calendario.dataExpiracaoSolicitacao"
    ]
    request = request_of(call, clock, rec, calendario=expiry(clock, days=30))
    answer = call("POST", "/solicrec", request_body(clock, rec))
    assert paths_of(answer, INVALID) == ["solicrec.idRec"]
    assert "solicitação ativa" in answer.get_json()["detail"]
    path = f"/solicrec/{request['idSolicRec']}"
    for patch in ({}, {"status": "ACEITA"}, {"status": None}):
        assert paths_of(call("PATCH", path, patch), INVALID) == ["solicrec.status"]


def test_what_is_not_there_is_a_404_of_its_type(app, call, clock, rec):
    """Also another merchant's; and each operation has its scope."""
    make_account(app, "alice")
    alice = DemoCalls(app, "alice")
    request = request_of(call, clock, rec)
    for calls, name in ((call, UNKNOWN), (call, "x"), (alice, request["idSolicRec"])):
        for method, body in (("GET", None), ("PATCH", {"status": "CANCELADA"})):
            answer = calls(method, f"/solicrec/{name}", body)
            assert (answer.status_code, answer.get_json()["type"].endswith(MISSING)) == (404, True)
    for calls, id_rec in ((call, UNKNOWN_REC), (call, "a" * 29), (alice, rec)):
        answer = calls("POST", "/solicrec", request_body(clock, id_rec))
        assert answer.get_json()["type"].endswith("/RecNaoEncontrada")
    reader = new_client(app, "alice", ["solicrec.read"])
    headers = {"Authorization": f"Bearer {reader.token(app)}"}
    sent = app.test_client().post("/api-pix/v2/solicrec", json={}, headers=headers)
    assert sent.status_code == 403


def test_a_bank_that_refuses_or_never_answers_ends_the_request(app, call, clock, rec, payers_bank):
    """The recurrence stays open for another request."""
    payers_bank.refuse(404, "customer-unknown")
    request = request_of(call, clock, rec)
    assert send_orders(app) == 1
    assert read(call, request) == ("REJEITADA", ["CRIADA", "ENVIADA", "REJEITADA"])
    payers_bank.refuse(503, "busy")
    silent = request_of(call, clock, rec)
    assert send_orders(app) == 0
    assert read(call, silent) == ("ENVIADA", ["CRIADA", "ENVIADA"])
    clock.advance(days=2)
    call = DemoCalls(app)
    patch = call("PATCH", f"/solicrec/{silent['idSolicRec']}", {"status": "CANCELADA"})
    assert paths_of(patch, INVALID) == ["solicrec.status"], "it has expired by the clock"
    third = request_of(call, clock, rec)
    assert read(call, silent) == ("EXPIRADA", ["CRIADA", "ENVIADA", "EXPIRADA"])
    payers_bank.answer = lambda *_: (201, {})
    payers_bank.orders.clear()
    assert send_orders(app) == 2, "the order of the expired one is dropped"
    assert [members["id"] for _, members in payers_bank.orders] == [third["idSolicRec"]]
    clock.advance(days=2)
    call = DemoCalls(app)
    with app.app_context():
        assert (requests.expire_due(), requests.expire_due()) == (1, 0)
    assert read(call, third)[0] == "EXPIRADA"
    assert status_of(call, rec) == "CRIADA"


def test_a_request_in_contention_does_not_stop_the_job(app, call, clock, monkeypatch):
    """It expires in the next run."""
    first, second = (request_of(call, clock, offer(call, clock)["idRec"]) for _ in range(2))
    expire = requests._expire

    def contend(work, row):
        if row == first["idSolicRec"]:
            raise ConcurrentUpdate
        return expire(work, row)

    clock.advance(days=2)
    call = DemoCalls(app)
    monkeypatch.setattr(requests, "_expire", contend)
    with app.app_context():
        assert requests.expire_due() == 1
    assert [read(call, one)[0] for one in (first, second)] == ["CRIADA", "EXPIRADA"]
    monkeypatch.setattr(requests, "_expire", expire)
    with app.app_context():
        assert requests.expire_due() == 1


def test_an_answer_about_another_request_says_nothing(app, call, clock, rec, payers_bank):
    """The bank may not have this one: the order is sent again."""
    request = request_of(call, clock, rec)
    for wrong in (UNKNOWN, 5, ["x"]):
        payers_bank.answer = lambda *_, wrong=wrong: (201, {"request": {"id": wrong}})
        assert send_orders(app) == 0
        assert read(call, request)[0] == "ENVIADA"
        clock.advance(seconds=60)
    payers_bank.answer = lambda _path, members: (201, {"request": {"id": members["id"]}})
    assert send_orders(app) == 1
    assert read(call, request)[0] == "RECEBIDA"


def test_a_request_ends_with_its_recurrence(app, call, clock, payers_bank):
    """One that was never sent is never sent; the bank hears of the end of the others."""
    cancelled, elsewhere, unsent = (offer(call, clock)["idRec"] for _ in range(3))
    requests_ = [request_of(call, clock, id_rec) for id_rec in (cancelled, elsewhere)]
    assert send_orders(app) == 2
    requests_.append(request_of(call, clock, unsent))
    call("PATCH", f"/rec/{cancelled}", {"status": "CANCELADA"})
    accept(app, elsewhere)
    change(app, unsent, recurrences.expire)
    assert [read(call, request)[0] for request in requests_] == ["CANCELADA"] * 3
    payers_bank.orders.clear()
    send_orders(app)
    ids = {members.get("id") for _, members in payers_bank.orders}
    assert {requests_[0]["idSolicRec"], requests_[1]["idSolicRec"]} <= ids
    assert requests_[2]["idSolicRec"] not in ids


def test_another_first_day_ends_the_request(app, call, clock, rec, bank, payers_bank):
    """The payer would accept a day that no longer counts; another name of the debtor ends none."""
    request = request_of(call, clock, rec)
    name = request["idSolicRec"]
    send_orders(app)
    call("PATCH", f"/rec/{rec}", {"vinculo": {"devedor": {"nome": "Ana Lima"}}})
    assert read(call, request)[0] == "RECEBIDA"
    payload = call("GET", f"/solicrec/{name}").get_json()["recPayload"]
    assert payload["vinculo"]["devedor"]["nome"] == "Ana Lima"
    day = str(brasilia_day(clock.now()) + timedelta(days=1))
    answer = call("PATCH", f"/rec/{rec}", {"calendario": {"dataInicial": day}})
    assert answer.get_json()["calendario"]["dataInicial"] == day
    problem(tell_decision(bank, rec, request=name), 409, "request-ended")
    assert (read(call, request)[0], status_of(call, rec)) == ("CANCELADA", "CRIADA")
    send_orders(app)
    assert payers_bank.orders[1:] == [("/api/mandate-requests/cancel", {"id": name})]
    again = request_of(call, clock, rec)
    assert again["recPayload"]["calendario"]["dataInicial"] == day


def test_the_payer_accepts_by_the_first_journey(app, call, clock, rec, bank):
    """Request and recurrence change together; a repeated answer changes nothing."""
    request = request_of(call, clock, rec)
    name = request["idSolicRec"]
    problem(tell_decision(bank, rec, request=name), 409, "request-ended")
    send_orders(app)
    other = {"document": "12345678909"}
    problem(tell_decision(bank, rec, request=name, payer=other), 404, "request-not-found")
    problem(tell_decision(bank, rec, request=name, ispb="00000000"), 404, "request-not-found")
    problem(tell_decision(bank, rec, request=UNKNOWN), 404, "request-not-found")
    elsewhere = offer(call, clock)["idRec"]
    problem(tell_decision(bank, elsewhere, request=name), 404, "request-not-found")
    assert (read(call, request)[0], status_of(call, rec)) == ("RECEBIDA", "CRIADA")
    answers = [tell_decision(bank, rec, request=name).get_json() for _ in range(2)]
    assert [answer["duplicate"] for answer in answers] == [False, True]
    assert read(call, request) == ("ACEITA", ["CRIADA", "ENVIADA", "RECEBIDA", "ACEITA"])
    body = call("GET", f"/rec/{rec}").get_json()
    assert (body["status"], body["ativacao"]["tipoJornada"]) == ("APROVADA", "JORNADA_1")
    assert body["pagador"]["cpf"] == PAYER
    answer = call("POST", "/solicrec", request_body(clock, rec))
    assert paths_of(answer, INVALID) == ["solicrec.idRec"]
    assert tell_decision(bank, rec, "cancelled").status_code == 200
    problem(tell_decision(bank, rec, request=name), 409, "recurrence-ended")


def test_the_payer_refuses_or_answers_too_late(app, call, clock, bank):
    """A refusal ends both. What comes after the end of the request changes nothing."""
    refused, late, back = (offer(call, clock)["idRec"] for _ in range(3))
    one, two, three = (request_of(call, clock, rec) for rec in (refused, late, back))
    send_orders(app)
    for duplicate in (False, True):
        answer = tell_decision(bank, refused, "refused", request=one["idSolicRec"])
        assert answer.get_json()["duplicate"] is duplicate
    assert (read(call, one)[0], status_of(call, refused)) == ("REJEITADA", "REJEITADA")
    call("PATCH", f"/solicrec/{three['idSolicRec']}", {"status": "CANCELADA"})
    clock.advance(days=2)
    call = DemoCalls(app)
    for rec, request in ((late, two), (back, three)):
        for verdict in ("accepted", "refused"):
            answer = tell_decision(bank, rec, verdict, request=request["idSolicRec"])
            problem(answer, 409, "request-ended")
        assert status_of(call, rec) == "CRIADA"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({}, "request"),
        ({"request": "x"}, "request"),
        ({"request": UNKNOWN, "journey": 2}, "request"),
    ],
)
def test_the_first_journey_names_its_request(bank, members, field):
    """And no other journey does."""
    error = problem(tell_decision(bank, UNKNOWN_REC, **members), 400, "invalid-request")
    assert [entry["field"] for entry in error["errors"]] == [field]


def test_the_people_in_requests_are_exported_and_erased(app, call, clock, rec, settings):
    """By age after the end, and at once by request, with the orders that name them."""
    request = request_of(call, clock, rec)
    with app.app_context(), reading() as work:
        [exported] = export_payer(work, PAYER)["recurrence_requests"]
    assert exported["id_solic_rec"] == request["idSolicRec"]
    assert (exported["account"], exported["branch"]) == ("550689", "2569")
    with app.app_context():
        assert in_unit_of_work(partial(erase_payer, person=PAYER)) == 2
        assert in_unit_of_work(partial(erase_payer, person=PAYER)) == 0
    assert send_orders(app) == 0
    body = call("GET", f"/solicrec/{request['idSolicRec']}").get_json()
    assert body["destinatario"] == {"conta": "0", "ispbParticipante": "99999004", "cpf": "0" * 11}
    call("PATCH", f"/solicrec/{request['idSolicRec']}", {"status": "CANCELADA"})
    request = request_of(call, clock, rec)
    call("PATCH", f"/solicrec/{request['idSolicRec']}", {"status": "CANCELADA"})
    clock.advance(seconds=settings.payer_data_days * DAY)
    change(app, rec, recurrences.cancel)  # only the request is old
    with app.app_context():
        assert PayerDataEraser(settings).run(lambda: True) == 0
        clock.advance(seconds=1)
        assert PayerDataEraser(settings).run(lambda: True) == 1
        with reading() as work:
            query = sa.select(RecurrenceRequest.payer_document, RecurrenceRequest.payer_account)
            assert set(work.session.execute(query)) == {(None, None)}
    assert PAYER not in json.dumps(body)


@pytest.mark.parametrize("person", ["12345678909", PAYER])
def test_the_orders_that_wait_name_nobody_after_an_erasure(
    app, call, clock, rec, settings, payers_bank, person
):
    """Neither the debtor, nor the payer; and the bank still hears of a cancellation."""
    request_of(call, clock, rec)
    elsewhere = request_of(call, clock, offer(call, clock)["idRec"])["idSolicRec"]
    with app.app_context():
        in_unit_of_work(
            lambda work: requests.begin_sending(work, PayerBankOrder(subject=elsewhere))
        )
    call("PATCH", f"/solicrec/{elsewhere}", {"status": "CANCELADA"})
    with app.app_context():
        assert in_unit_of_work(partial(erase_payer, person=person)) == 4
    [order] = Tables(settings.database_url).rows(
        sa.select(PayerBankOrder.kind, PayerBankOrder.body)
    )
    assert tuple(order) == ("request-cancel", {"id": elsewhere})
    assert send_orders(app) == 1
    assert payers_bank.orders == [("/api/mandate-requests/cancel", {"id": elsewhere})]


def test_an_erased_payer_can_still_cancel(app, call, rec, bank):
    """Nobody else can: not by another bank, and not by accepting once more."""
    accept(app, rec)
    with app.app_context():
        in_unit_of_work(partial(erase_payer, person=PAYER))
    problem(tell_decision(bank, rec, "cancelled", ispb="00000000"), 409, "recurrence-taken")
    problem(tell_decision(bank, rec, journey=2), 409, "recurrence-taken")
    assert status_of(call, rec) == "APROVADA"
    assert tell_decision(bank, rec, "cancelled").status_code == 200
    assert status_of(call, rec) == "CANCELADA"


def test_no_request_without_a_bank(settings, tmp_path, clock):
    """In production without BANK_URL nobody could carry it."""
    changes = {"app_env": "production", "public_url": "https://pix.example.com"}
    app = ready_app(settings_for(settings.database_url, tmp_path, **changes), clock)
    make_account(app, "alice")
    Tables(settings.database_url).change(sa.update(Account).values(document="12345678000195"))
    call = DemoCalls(app, "alice")
    answer = call("POST", "/solicrec", request_body(clock, offer(call, clock)["idRec"]))
    assert paths_of(answer, INVALID) == ["solicrec.destinatario.ispbParticipante"]
    close_app(app)


def test_bia_accepts_at_the_simulated_bank_and_a_stranger_is_unknown(fresh_database, tmp_path):
    """The first journey over the wire: request, page, PIN; and what the bank knows nothing of."""
    with town(fresh_database("sqlite"), tmp_path) as here:
        call = DemoCalls(here.app)
        with here.branch.database.reading() as session:
            bia = payer_by_handle(session, "bia")
            account = {**RECIPIENT, "cpf": bia.document, "conta": account_number(bia)}
        del account["agencia"]
        rec, other = offer(call, here.clock)["idRec"], offer(call, here.clock)["idRec"]
        request = request_of(call, here.clock, rec, destinatario=account)
        stranger = request_of(
            call, here.clock, other, destinatario={**account, "cpf": "11144477735"}
        )
        assert send_orders(here.app) == 2
        assert read(call, stranger)[0] == "REJEITADA"
        assert read(call, request)[0] == "RECEBIDA"
        client = here.bank_app.test_client()
        login = hidden_fields(client.get("/login").text)
        client.post("/login", data={**login, "login": "bia", "pin": "1234"})
        review = client.get(f"/requests/{request['idSolicRec']}")
        form = {**hidden_fields(review.text), "pin": "1234"}
        client.post(f"/requests/{request['idSolicRec']}/authorise", data=form)
        assert read(call, request)[0] == "ACEITA"
        body = call("GET", f"/rec/{rec}").get_json()
        assert (body["status"], body["ativacao"]["tipoJornada"]) == ("APROVADA", "JORNADA_1")
