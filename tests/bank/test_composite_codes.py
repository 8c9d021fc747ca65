"""Codes that hold a recurrence and something to pay: journeys 3 and 4, at the bank."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from bank.mandates.tables import BankMandate, MandateNotice
from bank.models import Transfer
from bank.money.notice_queue import LEASE
from core.pix.br_code import crc16, encode_static
from tests.bank.automatic import send_request
from tests.bank.conftest import hidden_fields
from tests.bank.service_double import PAYEE_KEY, recurrence_payload

TERMS_CHANGED, ENDED, DECIDED = "As condições mudaram", "foi encerrado", "Você já decidiu"


def open_review(bank, code):
    """The page that pays a code, after a login as Bia."""
    bank.log_in()
    return bank.client.get("/pay", query_string={"code": code}, follow_redirects=True)


def pay(bank, page, **changes):
    """Send the page's form, by default with the right PIN; None leaves a field out."""
    form = {**hidden_fields(page.text), "pin": "1234", **changes}
    fields = {name: value for name, value in form.items() if value is not None}
    return bank.client.post("/pay", data=fields)


def mandate_in(bank, id_rec):
    """The only mandate of this recurrence, or None."""
    with bank.branch.database.reading() as session:
        return session.scalars(
            select(BankMandate).where(BankMandate.id_rec == id_rec)
        ).one_or_none()


def messages(service):
    """What the service was told, in order: an amount, or an answer with journey and txid."""
    return [
        members.get("value") or (members["answer"], members["journey"], members.get("txid"))
        for members in (notice.members for notice in service.notices)
    ]


def retry(bank):
    """Let the pauses end, and send what is due: payments before decisions, as the job does."""
    bank.clock.advance(LEASE.total_seconds() + 61)
    bank.branch.outbox.send_due()
    bank.branch.mandate_outbox.send_due()


def test_paying_an_immediate_charge_accepts_its_recurrence(bank, service):
    """One page, one PIN, one transaction; the payment is told first. A repeated form does nothing,
    and another form for the same recurrence pays nothing."""
    code, txid, id_rec = service.composite(bank.clock.now())
    balance = bank.balance()
    page, other_page = open_review(bank, code), open_review(bank, code)
    text = page.text.replace("\xa0", " ")
    for words in ("Loja da Alice", "R$ 54,90", "Academia Olinda", "R$ 35,00", "todo mês"):
        assert words in text
    assert (text.count('name="pin"'), 'type="checkbox"' in text) == (1, False)

    first, second = pay(bank, page), pay(bank, page)
    refused = pay(bank, other_page)

    assert (first.status_code, first.location) == (303, second.location)
    assert (refused.status_code, DECIDED in refused.text) == (409, True)
    assert messages(service) == [54.9, ("accepted", 3, txid)]
    assert balance - bank.balance() == 5490
    mandate = mandate_in(bank, id_rec)
    assert (mandate.status, mandate.journey, mandate.payment.txid) == ("active", 3, txid)
    assert f"/mandates/{id_rec}" in bank.client.get(first.location).text


def test_a_payment_that_goes_back_authorises_nothing(bank, service):
    """The service hears of no acceptance, and the client may accept with another charge."""
    service.answers = [(409, "already-paid"), 200]
    code, _, id_rec = service.composite(bank.clock.now())
    balance = bank.balance()
    receipt = bank.client.get(pay(bank, open_review(bank, code)).location)
    assert "então nada foi autorizado" in receipt.text
    assert (messages(service), bank.balance()) == ([54.9], balance)
    assert (mandate_in(bank, id_rec).status, mandate_in(bank, id_rec).is_void) == ("ended", True)

    code, txid, _ = service.composite(bank.clock.now(), idRec=id_rec)
    assert pay(bank, open_review(bank, code)).status_code == 303
    assert messages(service)[1:] == [54.9, ("accepted", 3, txid)]
    assert mandate_in(bank, id_rec).status == "active"


def test_a_request_may_follow_a_payment_that_went_back(bank, service):
    """The client sees it and accepts it, as if nothing had been tried."""
    service.answers = [(409, "already-paid"), 200]
    code, _, id_rec = service.composite(bank.clock.now())
    assert pay(bank, open_review(bank, code)).status_code == 303
    order = send_request(bank, recurrence={"idRec": id_rec})
    assert f"/requests/{order['id']}" in bank.client.get("/").text
    form = hidden_fields(bank.client.get(f"/requests/{order['id']}").text)
    answer = bank.client.post(f"/requests/{order['id']}/authorise", data={**form, "pin": "1234"})
    assert answer.status_code == 303
    assert (mandate_in(bank, id_rec).status, mandate_in(bank, id_rec).journey) == ("active", 1)


def test_an_acceptance_waits_until_its_payment_is_known(bank, service):
    """503 for the payment and 425 for the acceptance: both are sent until the service answers."""
    service.answers = [503, (425, "activation-unpaid"), 503, (425, "activation-unpaid"), 200]
    code, txid, id_rec = service.composite(bank.clock.now())
    receipt = bank.client.get(pay(bank, open_review(bank, code)).location)
    assert "falta a empresa responder" in receipt.text
    retry(bank)
    assert mandate_in(bank, id_rec).status == "accepting"
    retry(bank)
    assert mandate_in(bank, id_rec).status == "active"
    assert messages(service) == [54.9, ("accepted", 3, txid)] * 3
    assert len({notice.message_id for notice in service.notices}) == 2


def test_what_changed_or_is_wrong_pays_nothing_and_authorises_nothing(bank, service):
    """Neither without the terms that the page showed, nor after the recurrence has ended."""
    payload = recurrence_payload(bank.clock.now())
    charge, _ = service.charge(bank.clock.now())
    code = service.serve_recurrence(lambda: service.signed_payload(payload), charge)
    balance = bank.balance()
    page = open_review(bank, code)
    assert pay(bank, page, pin="9999").status_code == 403
    for changes in ({"terms": None}, {"accepts": None}):
        assert "leia-o no aplicativo" in pay(bank, page, **changes).text
    assert bank.pay(code).get_json()["code"] == "code-not-payable-here"
    payload["valor"] = {"valorRec": "350.00"}
    assert TERMS_CHANGED in pay(bank, page).text
    payload["atualizacao"] = [{"status": "CANCELADA"}]
    ended = pay(bank, page)
    assert (ended.status_code, ENDED in ended.text) == (409, True)
    assert ENDED in open_review(bank, code).text
    assert (bank.balance(), service.notices) == (balance, [])
    assert mandate_in(bank, payload["idRec"]) is None


def test_the_third_journey_cannot_be_accepted_without_its_payment(bank, service):
    """Neither by the page that authorises, nor by its form."""
    code, _, id_rec = service.composite(bank.clock.now())
    page = open_review(bank, code)
    question = bank.client.get("/mandates/authorise", query_string={"code": code})
    assert question.location.startswith("/pay?code=")
    form = {**hidden_fields(page.text), "pin": "1234", "id_rec": id_rec}
    form["agreed"] = form["terms"]
    for deed in ("authorise", "refuse"):
        assert bank.client.post(f"/mandates/{deed}", data=form).status_code == 422
    assert (mandate_in(bank, id_rec), service.notices) == (None, [])


@pytest.mark.parametrize("accepts", ["yes", None])
def test_a_charge_with_a_due_date_is_paid_with_or_without_accepting(bank, service, accepts):
    """The two do not depend on each other: a payment that goes back leaves the mandate."""
    service.answers = [(409, "already-paid"), 200]
    code, _, id_rec = service.composite(bank.clock.now(), is_due=True)
    page = open_review(bank, code)
    assert (page.text.count('name="pin"'), 'type="checkbox"' in page.text) == (1, True)
    assert pay(bank, page, accepts=accepts).status_code == 303
    if accepts is None:
        assert (messages(service), mandate_in(bank, id_rec)) == ([105.0], None)
    else:
        assert messages(service) == [105.0, ("accepted", 4, None)]
        assert mandate_in(bank, id_rec).status == "active"


def test_the_fourth_journey_accepts_without_paying(bank, service):
    """By a link on the page, and when the charge cannot be paid any more."""
    code, _, id_rec = service.composite(bank.clock.now(), is_due=True)
    assert "Só autorizar, sem pagar agora" in open_review(bank, code).text
    for token in [token for token in service.charges if token in code]:
        if f"cobv/{token}" in code:
            del service.charges[token]
    page = open_review(bank, code)
    assert page.request.path == "/mandates/authorise"
    form = {**hidden_fields(page.text), "pin": "1234"}
    assert bank.client.post("/mandates/authorise", data=form).status_code == 303
    assert messages(service) == [("accepted", 4, None)]
    assert mandate_in(bank, id_rec).payment_id is None


def test_a_recurrence_that_ended_leaves_the_charge_payable(bank, service):
    """In the fourth journey: the page says that only the payment is left."""
    code, _, id_rec = service.composite(
        bank.clock.now(), is_due=True, atualizacao=[{"status": "REJEITADA"}]
    )
    page = open_review(bank, code)
    assert ENDED in page.text
    assert pay(bank, page, accepts="yes").status_code == 303
    assert (messages(service), mandate_in(bank, id_rec)) == ([105.0], None)


def test_a_static_code_may_offer_a_recurrence_beside_it(bank, service):
    recurrence, id_rec = service.recurrence(bank.clock.now())
    static = encode_static(PAYEE_KEY, "Loja da Alice", "Recife", amount_centavos=1250)
    # Object 80 is the last one before the CRC, in a code without a charge, too.
    text = static[: -len("6304XXXX")] + recurrence[recurrence.index("***80") + 3 : -4]
    code = text + crc16(text)
    page = open_review(bank, code)
    assert 'type="checkbox"' in page.text
    assert pay(bank, page, accepts="yes").status_code == 303
    assert messages(service) == [12.5, ("accepted", 4, None)]
    assert mandate_in(bank, id_rec).status == "active"


def test_many_orders_at_once_pay_once_and_accept_once(any_bank, service):
    """On every engine: copies of one form, and another form of the same client."""
    code, _, id_rec = service.composite(any_bank.clock.now())
    forms = [hidden_fields(open_review(any_bank, code).text) for _ in range(2)]
    cookie = any_bank.client.get_cookie("bank_session")

    def order(number):
        client = any_bank.app.test_client()
        client.set_cookie("bank_session", cookie.value)
        form = {**forms[number % 2], "token": forms[-1]["token"], "pin": "1234"}
        return client.post("/pay", data=form).status_code

    with ThreadPoolExecutor(4) as clients:
        results = list(clients.map(order, range(4)))
    assert sorted(set(results)) == [303, 409]
    with any_bank.branch.database.reading() as session:
        payments = select(func.count(Transfer.id)).where(Transfer.kind == "payment")
        assert session.scalar(payments) == 1
        assert session.scalar(select(func.count(MandateNotice.id))) == 1
    assert mandate_in(any_bank, id_rec).status == "active"
    assert sorted(map(str, messages(service)))[-1] == "54.9"
