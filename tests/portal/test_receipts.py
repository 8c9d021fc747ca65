"""Money without a payment in the portal: list, figures, CSV, attach, give back."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest

from core.clock import rfc3339
from tests.portal.signing import CONFIRMED, KEYS
from tests.support.service import end_to_end_id


@pytest.fixture
def receive(bank, clock):
    """Tell of money for Alice's key: receive(value=…, payer=…) → the end_to_end_id."""

    def tell(value="12.34", name="Bia Andrade", key=KEYS["alice"]):
        body = {
            "pix_key": key,
            "value": value,
            "end_to_end_id": end_to_end_id(),
            "paid_at": rfc3339(clock.now()),
            "payer": {"name": name},
        }
        assert bank.tell(body).status_code == 200
        return body["end_to_end_id"]

    return tell


def csv_rows(browser):
    """The rows of the CSV, without the headings."""
    text = browser.get("/portal/receipts.csv").data.decode()
    return list(csv.reader(io.StringIO(text)))[1:]


def test_the_first_page_and_the_list_show_the_money_with_its_payer(alice, receive):
    """The merchant sees the sticker's money where all other money is seen."""
    before = alice.get("/portal").text
    money = receive()

    home, listing = alice.get("/portal").text, alice.get("/portal/receipts").text

    for page in (home, listing):
        assert "Bia Andrade" in page
        assert "R$\xa012,34" in page
        assert f"/portal/receipts/{money}" in page
    assert 'aria-labelledby="free-title" hidden' in before
    assert 'aria-labelledby="free-title" hidden' not in home


def test_the_figures_count_it_until_it_has_a_payment_and_then_once(alice, receive):
    """The day's takings are the same before and after the money is attached."""
    money = receive()
    first = alice.get("/portal?fragment=figures").text

    answer = alice.post(f"/portal/receipts/{money}/attach", {"target": "1042"})
    second = alice.get("/portal?fragment=figures").text

    assert answer.status_code == 303
    for figures in (first, second):
        assert "data-takings>R$\xa012,34" in figures
        assert "data-count>1<" in figures


def test_yesterdays_money_counts_yesterday(alice, receive, clock):
    """The span of a day begins at its first instant, as for payments."""
    receive()
    clock.advance(seconds=timedelta(days=1).total_seconds())

    figures = alice.get("/portal?fragment=figures").text

    assert "R$\xa012,34" in figures.split("data-takings>")[1].split("tile__note")[1]
    assert "data-takings>R$\xa00,00" in figures


def test_attached_money_leaves_the_list_and_opens_its_payment(alice, receive, charge):
    """By order id, or by the id of an open payment of the same amount."""
    open_payment = charge(value="12.34")
    by_order, by_id = receive(), receive(name="Bob de Souza")

    first = alice.post(f"/portal/receipts/{by_order}/attach", {"target": "1042"})
    second = alice.post(f"/portal/receipts/{by_id}/attach", {"target": open_payment["id"]})

    assert "1042" in alice.get(first.location).text
    assert second.location == f"/portal/payments/{open_payment['id']}"
    assert "Bob de Souza" in alice.get(second.location).text
    assert "Nenhum Pix sem cobrança" in alice.get("/portal/receipts").text
    assert second.location in alice.get(f"/portal/receipts/{by_id}").text


def test_the_payments_id_may_be_pasted_in_any_form(alice, charlie, receive, charge):
    """An id with capitals or within an address means the payment, and an order's id stays its own.

    Another shop's payment is not found, so its id is no order either where it is written as ours.
    """
    for spelled in (str.upper, "http://pix.example/payments/pix/{}?lang=en".format):
        payment, money = charge(value="12.34"), receive()
        target = spelled(payment["id"])
        answer = alice.post(f"/portal/receipts/{money}/attach", {"target": target})
        assert answer.headers["Location"] == f"/portal/payments/{payment['id']}"

    order, money = "ABCDEF0123456789" * 2, receive()
    answer = alice.post(f"/portal/receipts/{money}/attach", {"target": order})
    assert answer.status_code == 303
    assert order in alice.get(answer.headers["Location"]).text

    foreign, money = charge(charlie, value="12.34"), receive()
    answer = alice.post(f"/portal/receipts/{money}/attach", {"target": foreign["id"]})
    assert answer.status_code == 404
    assert money in alice.get("/portal/receipts").text


@pytest.mark.parametrize(
    ("target", "status"), [("", 400), ("x" * 65, 400), ("0" * 32, 404), ("paid", 409)]
)
def test_a_target_that_does_not_fit_is_explained_beside_the_field(
    alice, receive, charge, bank, target, status
):
    """Nothing changes, and the typed text stays in the field."""
    bank.confirm(charge(order_id="paid"))
    money = receive()

    answer = alice.post(f"/portal/receipts/{money}/attach", {"target": target})

    assert answer.status_code == status
    assert 'id="target-wrong"' in answer.text
    assert f'value="{target}"' in answer.text
    assert money in alice.get("/portal/receipts").text


def test_giving_back_names_sum_and_payer_and_asks_the_bank_once(alice, receive):
    """The second step says what will happen; a form sent twice gives back once."""
    money = receive()
    page = alice.get(f"/portal/receipts/{money}").text
    assert "R$\xa012,34 volta para a conta de Bia Andrade" in page
    form = {"refund_id": "a" * 32}
    question = alice.post(f"/portal/receipts/{money}/refund", form).text
    assert "Devolver R$\xa012,34 a Bia Andrade?" in question
    assert money in alice.get("/portal/receipts").text
    form |= CONFIRMED

    answers = [alice.post(f"/portal/receipts/{money}/refund", form) for _ in range(2)]

    assert answers[0].location == answers[1].location
    page_text = alice.get(answers[0].location).text
    assert "Devolução pedida ao banco" in page_text
    assert "Devolução em andamento: R$\xa012,34" in page_text
    assert "Nenhum Pix sem cobrança" in alice.get("/portal/receipts").text


def test_the_csv_has_payer_till_and_payment(alice, receive, charge, bank):
    """The bookkeeper reconciles the bank statement with it; formulas are escaped."""
    payment = charge(value="54.90")
    bank.confirm(payment)
    money = receive(name="=1+1")

    newest, oldest = csv_rows(alice)

    assert newest[0] == money
    assert newest[2:] == ["12.34", "0.00", "12.34", "'=1+1", "", ""]
    assert oldest[2:] == ["54.90", "0.00", "54.90", "Bob de Souza", "", payment["id"]]


def test_money_that_was_given_back_is_said_on_its_receipt_and_in_the_csv(
    alice, receive, charge, bank, give_back
):
    """A receipt must not look like money in the till when it went back to the payer."""
    payment = charge(value="54.90")
    money, other = end_to_end_id(), receive()
    bank.confirm(payment, end_to_end_id=money)
    give_back(payment, "10,00")

    page = alice.get(f"/portal/receipts/{money}").text

    assert '<dt>Devolvido</dt><dd class="money">R$\xa010,00</dd>' in page
    assert "Devolvido" not in alice.get(f"/portal/receipts/{other}").text
    amounts = {row[0]: row[2:5] for row in csv_rows(alice)}
    assert amounts == {money: ["54.90", "10.00", "44.90"], other: ["12.34", "0.00", "12.34"]}


def test_the_csv_has_every_receipt_once_over_several_batches(alice, receive, monkeypatch):
    """Also at the exact end of a batch."""
    monkeypatch.setattr("blueprints.portal.receipt_routes.EXPORT_BATCH", 2)
    ids = [receive() for _ in range(4)]

    assert [row[0] for row in csv_rows(alice)] == ids[::-1]


def test_another_merchant_sees_and_changes_nothing(alice, charlie, receive):
    """Charlie knows the id of the transfer."""
    money = receive()

    for path in ("/portal", "/portal/receipts", "/portal/receipts.csv"):
        assert money not in charlie.get(path).text
    assert charlie.get(f"/portal/receipts/{money}").status_code == 404
    assert charlie.post(f"/portal/receipts/{money}/attach", {"target": "1"}).status_code == 404
    assert charlie.post(f"/portal/receipts/{money}/refund").status_code == 404
    assert charlie.get("/portal/receipts?after=" + money).status_code == 400
    assert money in alice.get("/portal/receipts").text
