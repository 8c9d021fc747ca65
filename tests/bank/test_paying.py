"""Paying: debit, notice, answer, and the return of what the service refuses."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select
from werkzeug import Response

from bank.models import BankAccount, Notice, Transfer
from bank.money.ledger import balance_centavos
from tests.bank.conftest import hidden_fields
from tests.bank.service_double import charge_payload

OPENING = 482_350


def test_a_confirmed_payment_is_debited_and_sends_one_notice(bank, service):
    """All steps: debit, signed notice, answer, receipt."""
    code, txid = service.charge(bank.clock.now())

    answer = bank.pay(code).get_json()

    assert answer["status"] == "confirmed"
    assert (answer["answer"]["status"], answer["amount_centavos"]) == (200, 5490)
    assert bank.balance() == OPENING - 5490
    [notice] = service.notices
    assert notice.members == {
        "bank_payment_id": txid,
        "value": 54.90,
        "end_to_end_id": answer["end_to_end_id"],
        "paid_at": answer["paid_at"],
        "payer": {"name": "Bia Andrade", "document": "12345678909"},
    }


def test_the_amount_is_written_with_two_decimals_and_no_float_error(bank, service):
    """`198` was once read as 1.98, and 0.1 + 0.2 is not 0.3."""
    for amount in ("0.01", "8.20", "54.90", "4999.99"):
        code, _ = service.charge(bank.clock.now(), amount=amount)
        bank.pay(code, payer="bia")
    amounts = re.findall(
        rb'"value": ([0-9.]+)', b"".join(notice.body for notice in service.notices)
    )

    # The last one is over what is left in the account.
    assert amounts == [b"0.01", b"8.20", b"54.90"]
    exact = json.loads(service.notices[1].body, parse_float=Decimal)
    assert exact["value"] == Decimal("8.20")


def test_an_end_to_end_id_has_the_form_of_pix(bank, service):
    """E, the bank's ISPB, the minute in UTC, 11 letters or digits."""
    code, _ = service.charge(bank.clock.now())
    before = bank.clock.now()

    identifier = bank.pay(code).get_json()["end_to_end_id"]

    assert re.fullmatch(r"E99999004\d{12}[a-zA-Z0-9]{11}", identifier)
    minutes = (before.strftime("%Y%m%d%H%M"), bank.clock.now().strftime("%Y%m%d%H%M"))
    assert identifier[9:21] in minutes


@pytest.mark.parametrize(("status", "reason"), [(409, "paid-too-late"), (400, "amount-mismatch")])
def test_refused_money_comes_back_with_the_reason(bank, service, status, reason):
    """A 4xx is final: the payer has the money back and sees why."""
    service.answers = [(status, reason)]
    code, txid = service.charge(bank.clock.now())

    answer = bank.pay(code).get_json()

    assert (answer["status"], answer["answer"]["code"]) == ("returned", reason)
    assert bank.balance() == OPENING
    assert [row["status"] for row in bank.lookup(txid)] == ["returned"]
    bank.branch.outbox.send_due()
    assert len(service.notices) == 1


def test_the_ledger_always_sums_to_zero(any_bank, service):
    """Double entry neither creates nor loses a centavo, on any engine."""
    for answer in (200, (409, "already-paid"), 503, 200):
        service.answers = [answer]
        code, _ = service.charge(any_bank.clock.now())
        any_bank.pay(code)

    with any_bank.branch.database.reading() as session:
        accounts = session.scalars(select(BankAccount.id)).all()
        balances = [balance_centavos(session, account) for account in accounts]
        transfer_count = session.scalar(select(func.count(Transfer.id)))
    assert sum(balances) == 0
    assert any_bank.balance() == OPENING - 3 * 5490
    assert transfer_count == 3 + 4 + 1


def test_history_cannot_be_changed(bank, service):
    """A transfer is corrected by another one that reverses it."""
    code, _ = service.charge(bank.clock.now())
    bank.pay(code)

    with (
        pytest.raises(RuntimeError, match="is history"),
        bank.branch.database.writing() as session,
    ):
        session.scalars(
            select(Transfer).where(Transfer.kind == "payment")
        ).one().amount_centavos = 1


def test_the_fifth_wrong_pin_locks_and_the_right_one_no_longer_pays(bank, service):
    """Four wrong PINs do not lock, and a right one resets the count."""
    code, _ = service.charge(bank.clock.now())
    for _ in range(4):
        assert bank.pay(code, pin="0000").get_json()["code"] == "pin-refused"
    assert bank.pay(code).status_code == 200
    code, _ = service.charge(bank.clock.now())
    codes = [bank.pay(code, pin="0000").get_json()["code"] for _ in range(5)]

    assert codes == ["pin-refused"] * 4 + ["pin-locked"]
    refusal = bank.pay(code)
    assert (refusal.status_code, refusal.get_json()["code"]) == (403, "pin-locked")
    assert bank.balance() == OPENING - 5490
    assert bank.pay(code, payer="caio").status_code == 200


@pytest.mark.parametrize(
    ("payer", "amount", "status", "reason"),
    [
        ("dora", "37.91", 402, "insufficient-funds"),
        ("dora", "37.90", 200, None),
        ("caio", "1000.01", 403, "over-limit"),
        ("caio", "1000.00", 200, None),
    ],
)
def test_balance_and_limit_hold_to_the_centavo(bank, service, payer, amount, status, reason):
    """Both sides of each edge."""
    code, _ = service.charge(bank.clock.now(), amount=amount)

    answer = bank.pay(code, payer=payer)

    assert (answer.status_code, answer.get_json().get("code")) == (status, reason)
    assert len(service.notices) == (1 if status == 200 else 0)


def test_two_payments_at_once_cannot_spend_the_same_money(any_bank, service):
    """The account's row is locked before its balance is summed."""
    codes = [service.charge(any_bank.clock.now(), amount="20.00")[0] for _ in range(4)]

    def pay(code):
        answer = any_bank.app.test_client().post(
            "/api/pay", json={"code": code, "pin": "1234", "payer": "dora"}
        )
        return answer.status_code

    with ThreadPoolExecutor(4) as payers:
        statuses = sorted(payers.map(pay, codes))

    assert statuses == [200, 402, 402, 402]
    assert any_bank.balance("dora") == 1790


def test_pressing_the_button_twice_pays_once(bank, service):
    """The form carries an idempotency key."""
    code, _ = service.charge(bank.clock.now())
    bank.log_in()
    form = {**hidden_fields(bank.client.get("/pay", query_string={"code": code}).text)}

    answers = [bank.client.post("/pay", data={**form, "pin": "1234"}) for _ in range(2)]

    assert answers[0].location == answers[1].location
    assert len(service.notices) == 1
    assert bank.balance() == OPENING - 5490


def test_an_idempotency_key_belongs_to_one_order(bank, service):
    """With the same order it returns the earlier payment; with another one it is a conflict."""
    code, _ = service.charge(bank.clock.now())
    other, _ = service.charge(bank.clock.now())
    key = {"Idempotency-Key": "order 1042"}

    def pay(text):
        return bank.client.post("/api/pay", json={"code": text, "pin": "1234"}, headers=key)

    first, repeated, conflict = pay(code), pay(code), pay(other)

    assert first.get_json() == repeated.get_json()
    assert "Idempotent-Replayed" not in first.headers
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert (conflict.status_code, conflict.get_json()["code"]) == (409, "idempotency-conflict")
    assert len(service.notices) == 1


def test_one_request_sent_many_times_at_once_is_one_payment(any_bank, service):
    """It spends the whole balance: a second copy must not fail with insufficient funds."""
    code, _ = service.charge(any_bank.clock.now(), amount="37.90")

    def pay(_copy):
        answer = any_bank.app.test_client().post(
            "/api/pay",
            json={"code": code, "pin": "1234", "payer": "dora"},
            headers={"Idempotency-Key": "once"},
        )
        return answer.status_code, answer.get_json()["end_to_end_id"]

    with ThreadPoolExecutor(6) as payers:
        answers = set(payers.map(pay, range(6)))

    assert len(answers) == 1
    assert len(service.notices) == 1


def test_a_copy_that_finds_the_code_gone_gets_the_payment(bank, service):
    """The first copy was paid and confirmed before the second had read the code."""
    payload = charge_payload(bank.clock.now())
    first_answers: list[Any] = []

    def send(text):
        return bank.app.test_client().post(
            "/api/pay",
            json={"code": text, "pin": "1234"},
            headers={"Idempotency-Key": "order 1042"},
        )

    def location():
        if first_answers:
            return service.signed_payload(payload)
        first_answers.append(None)
        first_answers[0] = send(code)
        return Response("", 410)

    code = service.serve(location)
    repeated = send(code)

    assert first_answers[0].status_code == 200
    assert repeated.get_json() == first_answers[0].get_json()
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert len(service.notices) == 1
    assert bank.balance() == OPENING - 5490


def test_an_amount_that_changed_since_it_was_shown_is_not_paid(bank, service):
    """The payer pays only the amount on the screen."""
    from tests.bank.conftest import hidden_fields

    amounts = ["10.00", "99.00", "99.00"]
    payload = charge_payload(bank.clock.now())
    code = service.serve(
        lambda: service.signed_payload({**payload, "valor": {"original": amounts.pop(0)}})
    )
    bank.log_in()
    form = hidden_fields(bank.client.get("/pay", query_string={"code": code}).text)

    answer = bank.client.post("/pay", data={**form, "pin": "1234"})

    assert answer.status_code == 409
    assert "O valor mudou" in answer.text
    assert bank.balance() == OPENING


def test_paying_less_takes_one_centavo_less_but_never_nothing(bank, service):
    """The scenario tests shops that must refuse a wrong amount."""
    for amount, debited_centavos in (("54.90", 5489), ("0.01", 1)):
        code, _ = service.charge(bank.clock.now(), amount=amount)
        assert bank.pay(code, scenario="pay-less").get_json()["amount_centavos"] == debited_centavos


def test_the_double_scenario_sends_the_same_notice_twice_at_once(bank, service):
    """The same id and bytes, and one debit."""
    code, _ = service.charge(bank.clock.now())

    bank.pay(code, scenario="double")

    first, second = service.notices
    assert (first.message_id, first.body) == (second.message_id, second.body)
    assert bank.balance() == OPENING - 5490


def test_the_late_scenario_delays_the_notice(bank, service):
    """The notice still has the true time of the payment, which was made before the deadline."""
    code, _ = service.charge(bank.clock.now())

    answer = bank.pay(code, scenario="late", late_seconds=300).get_json()

    assert answer["status"] == "sent"
    bank.clock.advance(290)  # the clock runs on meanwhile: a slow machine has ten seconds
    assert bank.branch.outbox.send_due() == 0
    bank.clock.advance(10)
    assert bank.branch.outbox.send_due() == 1
    assert service.notices[0].members["paid_at"] == answer["paid_at"]
    with bank.branch.database.reading() as session:
        assert session.scalars(select(Notice.verdict)).one() == "confirmed"
