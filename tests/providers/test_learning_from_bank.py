"""From the bank's API to the order: a stand-in bank over HTTP, callbacks, lists and returns."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from core.clock import SystemClock
from db_models import Account, Payment
from payments.at_bank import account_lists, visiting
from payments.at_bank.watching import MoneyWatch
from tests.providers.bank_rows import BankRows
from tests.providers.stand_in import PIX_KEY, Fault, StandInBank
from tests.support.service import close_app, ready_app

TOKEN = "token-of-the-callbacks-in-these-tests"


@pytest.fixture
def app(settings):
    """A service by the real clock, as the stand-in bank has it."""
    app = ready_app(settings, SystemClock())
    yield app
    close_app(app)


@pytest.fixture
def rows(app):
    """Rows at a bank, read and written beside the service."""
    return BankRows(app, SystemClock())


@pytest.fixture(params=["standard", "efi", "sicoob"])
def bank(request):
    """A bank that speaks a dialect of API Pix."""
    with StandInBank(request.param) as bank:
        yield bank


@pytest.fixture
def account(app, rows, bank):
    """The row id of the demo merchant's account at the bank, which gets the new payments."""
    for throttle in (visiting.LOOK_UPS, account_lists.WANTED_LISTS, visiting._CROWDS):
        throttle._allowed_at.clear()
    vault = app.extensions["balcao"].provider_clients.vault
    values = {"overrides": bank.overrides(), "pix_key": PIX_KEY, "profile": bank.dialect_name}
    row = rows.account(token=TOKEN, sealed=vault.seal(bank.secrets()), **values)
    rows.write(Account, rows.account_row(row).merchant_id, test_provider_id=row)
    return row


def create(app):
    """A payment whose charge is open at the bank."""
    answer = app.test_client().post("/payments/pix", json={"value": "12.34"})
    assert answer.status_code == 201, answer.text
    return answer.json["payment"]["id"]


def visit(rows, account):
    """Let a new process visit the account."""
    visiting.LOOK_UPS._allowed_at.clear()
    with rows.app.app_context():
        assert MoneyWatch(rows.app).visit(account)


def call_back(app, *txids):
    """The bank's callback."""
    body = {"pix": [{"txid": txid, "endToEndId": "E0"} for txid in txids]}
    return app.test_client().post(f"/providers/{TOKEN}/pix", json=body).status_code


def test_a_callback_leads_to_the_bank_s_word(app, rows, bank, account):
    """Forged first, and then true; also while the bank answers nonsense once."""
    txid = create(app)
    assert call_back(app, txid) == 200
    visit(rows, account)
    assert rows.payment_row(txid).status == "pending"
    end_to_end_id = bank.book.pay(txid)
    assert call_back(app, txid) == 200
    bank.faults.append(Fault("get-cob", "html"))
    visit(rows, account)
    time.sleep(0.1)
    visit(rows, account)
    if rows.payment_row(txid).status == "pending":  # the hint rests after the failure
        visit_when_due(rows, account, txid)
    stored = rows.payment_row(txid)
    assert (stored.status, stored.end_to_end_id) == ("confirmed", end_to_end_id)
    assert rows.charge_row(txid).status == "paid"


def visit_when_due(rows, account, txid):
    """Wait for the second try of a hint."""
    end = time.monotonic() + 12
    while rows.payment_row(txid).status == "pending" and time.monotonic() < end:
        time.sleep(0.5)
        visit(rows, account)


def test_a_list_brings_everything(app, rows, bank, account):
    """A payment, a wrong amount, a second Pix, a transfer to the key, and a return by MED."""
    right, wrong = create(app), create(app)
    first = bank.book.pay(right)
    bank.book.pay(right)
    bank.book.pay(wrong, 999)
    bank.book.receive(PIX_KEY, 500)
    bank.book.give_back(first, 234)
    visit(rows, account)
    assert rows.payment_row(right).status == "confirmed"
    assert rows.payment_row(wrong).status == "pending"
    misfits = sorted(str(one.misfit) for one in rows.receipts())
    assert misfits == ["None", "None", "already-paid", "amount-mismatch"]
    assert rows.payment_row(right).refunded_centavos == 234
    [refund] = rows.refunds()
    assert (refund.by_bank, refund.nature) == (True, "MED_FRAUDE")


def test_a_refund_is_ordered_once_whatever_gets_lost(app, rows, bank, account):
    """The answer to the order is lost; the bank has the return, and it is found."""
    txid = create(app)
    bank.book.pay(txid)
    visit(rows, account)
    bank.faults.append(Fault("put-return", "close", after=True))
    answer = app.test_client().post(f"/payments/pix/{txid}/refunds", json={"value": "2.00"})
    assert answer.status_code in (200, 201, 202), answer.text
    end = time.monotonic() + 12
    while rows.refunds()[0].status != "done" and time.monotonic() < end:
        time.sleep(0.5)
        visit(rows, account)
    assert [(one.status, one.amount_centavos) for one in rows.refunds()] == [("done", 200)]
    returns = [one for pix in bank.book.money for one in pix["devolucoes"]]
    assert len(returns) == 1


def test_the_shopper_s_question_goes_to_the_bank(app, rows, bank, account):
    """*Já paguei* confirms at once."""
    txid = create(app)
    visiting.LOOK_UPS._allowed_at.clear()
    bank.book.pay(txid)
    answer = app.test_client().post(f"/payments/pix/{txid}/check")
    assert (answer.json["inquiry"], answer.json["status"]) == ("answered", "confirmed")


def test_late_money_waits_for_its_merchant(app, rows, bank, account):
    """Two minutes after the lifetime, by the bank's own clock."""
    txid = create(app)
    charge = rows.charge_row(txid)
    late = charge.bank_created_at + timedelta(seconds=charge.lifetime_seconds + 120)
    bank.book.pay(txid, at=late)
    rows.write(Payment, rows.payment_row(txid).id, look_up_at=charge.created_at)
    visit(rows, account)
    assert [one.misfit for one in rows.receipts()] == ["paid-too-late"]
    assert rows.receipts()[0].paid_at <= SystemClock().now()
