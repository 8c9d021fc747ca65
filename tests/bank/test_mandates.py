"""Pix Automático at the bank: reading a recurrence, authorising it, refusing it, cancelling it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial

import pytest
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from bank.errors import CodeRefused, PayloadMalformed
from bank.mandates.tables import BankMandate, MandateNotice
from bank.money.notice_queue import LEASE
from core.pix.recurrence_rules import Periodicity
from tests.bank.conftest import hidden_fields
from tests.bank.service_double import recurrence_payload


def refusal_of(bank, code):
    """The error of reading this code as a recurrence."""
    with pytest.raises(CodeRefused) as caught:
        bank.branch.mandates.read(code)
    return caught.value


def open_review(bank, code):
    """The page with the terms, after a login as Bia."""
    bank.log_in()
    return bank.client.get("/pay", query_string={"code": code}, follow_redirects=True)


def send(bank, page, deed="authorise", pin="1234", **changes):
    """Send one of the review's forms."""
    form = {**hidden_fields(page.text), "pin": pin, **changes}
    return bank.client.post(f"/mandates/{deed}", data=form)


def mandate_in(bank, id_rec):
    """The only mandate of this recurrence."""
    with bank.branch.database.reading() as session:
        return session.scalars(select(BankMandate).where(BankMandate.id_rec == id_rec)).one()


def retry(bank):
    """Let the pause end, and send what is due."""
    bank.clock.advance(LEASE.total_seconds() + 61)
    return bank.branch.mandate_outbox.send_due()


# --- reading -------------------------------------------------------------------------------------


def test_the_terms_are_those_that_the_payees_bank_signed(bank, service):
    """Not the name in the code, which anybody can write."""
    code, id_rec = service.recurrence(bank.clock.now())

    offer = bank.branch.mandates.read(f" {code}\n")

    terms = offer.terms
    assert (terms.id_rec, terms.payee_name) == (id_rec, "Academia Olinda")
    assert (terms.payee_document, terms.contract) == ("12345678000195", "63100862")
    assert (terms.fixed_centavos, terms.minimum_centavos) == (3500, None)
    assert (terms.periodicity, terms.allows_retries) == (Periodicity.MONTHLY, False)
    assert terms.first_day < terms.last_day
    assert (terms.debtor_name, terms.subject) == ("Ana Souza", "Plano mensal")
    assert offer.status == "CRIADA"


def test_amount_last_day_and_subject_may_be_absent(bank, service):
    link = {"contrato": "1", "devedor": {"cnpj": "12345678000195", "nome": "Bar"}}
    calendar = {"dataInicial": "2031-01-31", "periodicidade": "ANUAL"}
    code, _ = service.recurrence(
        bank.clock.now(), valor=None, vinculo=link, calendario=calendar, atualizacao=None
    )
    terms = bank.branch.mandates.read(code).terms
    assert (terms.fixed_centavos, terms.minimum_centavos, terms.last_day) == (None, None, None)
    assert (terms.first_day, terms.subject) == (date(2031, 1, 31), None)
    assert terms.debtor_document == "12345678000195"


@pytest.mark.parametrize(
    ("member", "value", "field"),
    [
        ("idRec", "RX9999900420260101abcdefghijk", "idRec"),
        ("vinculo", None, "vinculo"),
        ("vinculo", {"devedor": {}, "contrato": ""}, "vinculo.contrato"),
        ("calendario", {"dataInicial": "2031-02-30"}, "calendario.dataInicial"),
        (
            "calendario",
            {"dataInicial": "2031-02-03", "dataFinal": "2031-02-02", "periodicidade": "ANUAL"},
            "calendario.dataFinal",
        ),
        (
            "calendario",
            {"dataInicial": "2031-02-03", "periodicidade": "DIARIA"},
            "periodicidade",
        ),
        ("valor", {"valorRec": "0.00"}, "valor.valorRec"),
        ("valor", {"valorRec": "1.00", "valorMinimoRecebedor": "1.00"}, "valor"),
        ("recebedor", {"cnpj": "1", "nome": "x"}, "cnpj"),
        ("politicaRetentativa", "TALVEZ", "politicaRetentativa"),
        ("atualizacao", [], "atualizacao"),
    ],
)
def test_a_malformed_payload_names_its_field(bank, service, member, value, field):
    code, _ = service.recurrence(bank.clock.now(), **{member: value})
    refusal = refusal_of(bank, code)
    assert isinstance(refusal, PayloadMalformed)
    assert f"o campo {field}." in refusal.detail


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "recurrence-not-found"),
        (400, "recurrence-ended"),
        (410, "recurrence-ended"),
        (500, "location-refused"),
    ],
)
def test_a_location_that_shows_no_recurrence_says_why(bank, service, status, code):
    """As a sentence for the client, who has authorised nothing."""
    text = service.serve_recurrence(lambda: Response("{}", status))
    assert refusal_of(bank, text).code == code
    page = open_review(bank, text)
    assert "Voltar ao início" in page.text
    assert page.status_code >= 400


def test_the_same_checks_protect_a_recurrence_as_a_charge(bank, service):
    """Type, signature and host: the reader of locations is one for both."""
    payload = recurrence_payload(bank.clock.now())
    wrong_type = partial(service.signed_payload, payload, mimetype="application/json")
    other_keys = partial(service.signed_payload, payload, jku="https://evil.example/jwks")
    assert refusal_of(bank, service.serve_recurrence(wrong_type)).code == "payload-type-wrong"
    assert refusal_of(bank, service.serve_recurrence(other_keys)).code == "key-set-refused"
    for faulty in (wrong_type, other_keys):
        page = open_review(bank, service.serve_recurrence(faulty)).text
        assert "assinatura do banco" in page or "não está assinada" in page
        assert "cobrança" not in page
    service.host = "evil.example"
    assert refusal_of(bank, service.recurrence(bank.clock.now())[0]).code == "unknown-participant"


def test_a_recurrence_that_somebody_accepted_cannot_be_authorised(bank, service):
    now = bank.clock.now()
    code, _ = service.recurrence(now, atualizacao=[{"status": "CRIADA"}, {"status": "APROVADA"}])
    page = open_review(bank, code)
    assert page.status_code == 409
    assert "já foi autorizado" in page.text
    code, _ = service.recurrence(now, atualizacao=[{"status": "REJEITADA"}])
    assert refusal_of(bank, code).code == "recurrence-ended"


# --- deciding ------------------------------------------------------------------------------------


def test_the_review_shows_every_term_before_the_pin(bank, service):
    """The client decides by what the payee's bank has signed; nothing has been told."""
    code, _ = service.recurrence(bank.clock.now())

    text = open_review(bank, code).text.replace("\xa0", " ")

    for words in ("Autorizar Pix Automático", "Academia Olinda", "12.345.678/0001-95"):
        assert words in text
    for words in ("Plano mensal", "63100862", "R$ 35,00", "todo mês", "***.456.789-**"):
        assert words in text
    assert not service.notices


def test_a_variable_amount_says_so_and_shows_the_minimum(bank, service):
    code, _ = service.recurrence(bank.clock.now(), valor={"valorMinimoRecebedor": "80.00"})
    text = open_review(bank, code).text.replace("\xa0", " ")
    assert "Valor variável" in text
    assert "muda a cada cobrança" in text
    assert "R$ 80,00" in text


def test_authorising_tells_the_service_and_repeating_it_does_nothing(bank, service):
    """No money moves; the second form of a double click finds the mandate."""
    code, id_rec = service.recurrence(bank.clock.now())
    balance = bank.balance()
    page = open_review(bank, code)

    first = send(bank, page)
    second = send(bank, page)

    assert (first.status_code, second.location) == (303, first.location)
    [notice] = service.notices
    assert notice.members == {
        "id_rec": id_rec,
        "answer": "accepted",
        "journey": 2,
        "payer": {"name": "Bia Andrade", "document": notice.members["payer"]["document"]},
        "ispb": bank.branch.settings.ispb,
    }
    assert "Pix Automático autorizado" in bank.client.get(first.location).text
    assert mandate_in(bank, id_rec).status == "active"
    assert bank.balance() == balance
    assert "Academia Olinda" in bank.client.get("/mandates").text
    assert open_review(bank, code).request.path == f"/mandates/{id_rec}"


def test_a_wrong_pin_and_changed_terms_authorise_nothing(bank, service):
    """The terms are those that the page showed, however long the client has read them."""
    payload = recurrence_payload(bank.clock.now())
    code = service.serve_recurrence(lambda: service.signed_payload(payload))
    page = open_review(bank, code)
    wrong_pin = send(bank, page, pin="9999")
    assert (wrong_pin.status_code, "Você ainda tem 4" in wrong_pin.text) == (403, True)
    payload["valor"] = {"valorRec": "350.00"}
    changed = send(bank, page)
    assert (changed.status_code, "As condições mudaram" in changed.text) == (409, True)
    assert not service.notices
    assert send(bank, changed).status_code == 303


@pytest.mark.parametrize("deed", ["authorise", "refuse"])
def test_a_form_of_another_site_decides_nothing(bank, service, deed):
    code, _ = service.recurrence(bank.clock.now())
    answer = send(bank, open_review(bank, code), deed, token="x")
    assert answer.status_code == 400
    assert not service.notices


def test_a_refusal_counts_at_once_and_is_told(bank, service):
    service.answers = [503, 200]
    code, id_rec = service.recurrence(bank.clock.now())
    page = open_review(bank, code)
    answer = send(bank, page, "refuse")
    assert mandate_in(bank, id_rec).status == "refused"
    assert "Estamos avisando" in bank.client.get(answer.location).text
    service.charges.clear()  # the location shows nothing any more
    assert send(bank, page, "refuse").location == answer.location
    assert retry(bank) == 1
    assert [notice.members["answer"] for notice in service.notices] == ["refused"] * 2
    assert "já sabe" in bank.client.get(answer.location).text


def test_a_decision_is_sent_until_the_service_answers(bank, service):
    """It stays in the database until then, and any process sends it after its lease."""
    service.answers = [503, 401, 200]
    code, id_rec = service.recurrence(bank.clock.now())
    page = bank.client.get(send(bank, open_review(bank, code)).location).text
    assert "Avisando a empresa" in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "Cancelar Pix" not in page
    assert retry(bank) == 1
    assert mandate_in(bank, id_rec).status == "accepting"
    assert retry(bank) == 1
    assert (mandate_in(bank, id_rec).status, retry(bank)) == ("active", 0)
    assert len({notice.message_id for notice in service.notices}) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("recurrence-taken", "Outra pessoa autorizou"),
        ("recurrence-ended", "o prazo para autorizar acabou"),
        ("something-new", "This is something-new."),
    ],
)
def test_a_refused_acceptance_ends_the_mandate_and_says_why(bank, service, code, words):
    service.answers = [(409, code)]
    text, id_rec = service.recurrence(bank.clock.now())
    page = bank.client.get(send(bank, open_review(bank, text)).location).text
    assert words in page
    assert "Pix Automático encerrado" in page
    assert mandate_in(bank, id_rec).reason == code


def test_cancelling_asks_first_and_tells_once(bank, service):
    code, id_rec = service.recurrence(bank.clock.now())
    send(bank, open_review(bank, code))
    question = bank.client.get(f"/mandates/{id_rec}/cancel")
    assert mandate_in(bank, id_rec).status == "active"
    form = hidden_fields(question.text)
    assert bank.client.post(f"/mandates/{id_rec}/cancel", data={}).status_code == 400
    for _ in range(2):
        answer = bank.client.post(f"/mandates/{id_rec}/cancel", data=form)
        assert answer.location == f"/mandates/{id_rec}"
    assert [notice.members["answer"] for notice in service.notices] == ["accepted", "cancelled"]
    assert "Pix Automático cancelado" in bank.client.get(answer.location).text
    assert bank.client.get(f"/mandates/{id_rec}/cancel").location == f"/mandates/{id_rec}"


def test_a_cancellation_of_what_had_ended_says_so(bank, service):
    service.answers = [200, (409, "recurrence-ended")]
    code, id_rec = service.recurrence(bank.clock.now())
    page = send(bank, open_review(bank, code))
    form = hidden_fields(bank.client.get(f"/mandates/{id_rec}/cancel").text)
    bank.client.post(f"/mandates/{id_rec}/cancel", data=form)
    assert "Pix Automático encerrado" in bank.client.get(page.location).text


def test_a_mandate_cannot_be_cancelled_before_the_service_has_answered(bank, service):
    service.answers = [503]
    code, id_rec = service.recurrence(bank.clock.now())
    page = open_review(bank, code)
    send(bank, page)
    form = hidden_fields(page.text)
    answer = bank.client.post(f"/mandates/{id_rec}/cancel", data=form)
    assert (answer.status_code, len(service.notices)) == (409, 1)


def test_nobody_sees_or_cancels_another_clients_mandate(bank, service):
    code, id_rec = service.recurrence(bank.clock.now())
    send(bank, open_review(bank, code))
    bank.client.delete_cookie("bank_session")
    bank.log_in("caio")
    form = hidden_fields(bank.client.get("/").text)
    assert "Academia" not in bank.client.get("/mandates").text
    for path in (f"/mandates/{id_rec}", f"/mandates/{id_rec}/cancel", "/mandates/x"):
        assert bank.client.get(path).status_code == 404
    assert bank.client.post(f"/mandates/{id_rec}/cancel", data=form).status_code == 404
    assert mandate_in(bank, id_rec).status == "active"


def test_two_orders_at_once_make_one_mandate(any_bank, service):
    """On every engine: the unique row of client and recurrence decides."""
    code, id_rec = service.recurrence(any_bank.clock.now())
    page = open_review(any_bank, code)
    form = {**hidden_fields(page.text), "pin": "1234"}
    cookie = any_bank.client.get_cookie("bank_session")

    def order(_number):
        client = any_bank.app.test_client()
        client.set_cookie("bank_session", cookie.value)
        return client.post("/mandates/authorise", data=form).status_code

    with ThreadPoolExecutor(4) as clients:
        assert set(clients.map(order, range(4))) == {303}
    with any_bank.branch.database.reading() as session:
        assert session.scalar(select(func.count(MandateNotice.id))) == 1
    assert mandate_in(any_bank, id_rec).status == "active"
    assert len(service.notices) == 1


def test_a_pause_ends_when_the_clock_was_set_back(bank, service):
    code, id_rec = service.recurrence(bank.clock.now())
    page = open_review(bank, code)
    bank.clock.ahead = timedelta(hours=1)  # the service refuses such a signature
    send(bank, page)
    bank.clock.ahead = timedelta(0)
    assert bank.branch.mandate_outbox.send_due() == 1
    assert mandate_in(bank, id_rec).status == "active"
