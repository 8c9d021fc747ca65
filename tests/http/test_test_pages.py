"""What shoppers see of payments without real money, beside those with real money."""

from __future__ import annotations

import re

import pytest

from tests.http.checks import add_merchant, client_of
from tests.providers.bank_rows import BankRows
from tests.support.halves import key_of_test_half
from tests.support.service import TEST_BANK_SECRET, BankInTest, settings_for

TEST = "Ambiente de teste: nenhum dinheiro real"
HTML = {"Accept": "text/html"}


@pytest.fixture
def settings(fresh_database, tmp_path):
    """Production settings; they take the place of the development ones in this file."""
    return settings_for(
        fresh_database("sqlite"),
        tmp_path,
        app_env="production",
        public_url="https://pay.example.com",
        test_bank_url="https://pay.example.com/bank",
        test_bank_webhook_secret=TEST_BANK_SECRET,
    )


@pytest.fixture
def live(app):
    """Alice's programs with a live key."""
    return client_of(app, add_merchant(app, "alice", "alice@example.com"))


@pytest.fixture
def test_half(app, live):
    """Alice's programs with a key of her test half."""
    return client_of(app, key_of_test_half(app, "alice"))


def create(client, **fields):
    """A payment of this client."""
    answer = client.post("/payments/pix", json={"value": 10, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json["payment"]


def page_of(client, payment, rest=""):
    """A page of the payment, as a browser gets it."""
    answer = client.get(f"/payments/pix/{payment['id']}{rest}", headers=HTML)
    assert answer.status_code == 200
    return answer.text


def test_the_page_of_a_test_half_says_test_and_that_of_its_merchant_never(client, live, test_half):
    """One browser opens both, in both orders."""
    of_test, of_merchant = create(test_half), create(live)
    assert (of_test["livemode"], of_merchant["livemode"]) == (False, True)
    for _ in range(2):
        assert TEST in page_of(client, of_test)
        assert "expire-soon" not in page_of(client, of_test)
        page = page_of(client, of_merchant)
        assert TEST not in page
        assert "test_strip" not in page


def test_the_strip_leads_to_the_bank_of_tests(client, live, test_half):
    """Else a shop's developer has a code that no page says how to pay."""
    page = page_of(client, create(test_half))
    for scenario in ("normal", "pay-less", "double", "late"):
        assert re.search(rf'href="https://pay\.example\.com/bank/pay\?code=[^"]*={scenario}"', page)
    assert "data-tool" not in page_of(client, create(live))


def test_it_says_test_in_every_state(client, test_half):
    """A page that stays open must not look as if money had moved."""
    payment = create(test_half)
    assert test_half.post(f"/payments/pix/{payment['id']}/cancel").status_code == 200
    assert TEST in page_of(client, payment)


def test_the_page_for_proofs_says_test(client, live, test_half):
    """The shop gets a picture of money that does not exist."""
    assert TEST in page_of(client, create(test_half), "/proof")
    assert TEST not in page_of(client, create(live), "/proof")


@pytest.mark.parametrize("environment", ["test", "live"])
def test_the_environment_of_a_banks_account_decides(app, client, clock, live, environment):
    """A payment at a sandbox is a test, and the simulated bank cannot pay it."""
    rows = BankRows(app, clock)
    payment = rows.payment(rows.account(environment=environment))
    page = page_of(client, {"id": payment.txid})
    assert (TEST in page) is (environment == "test")
    assert "data-tool" not in page


def test_a_receipt_of_real_money_does_not_say_test(app, client, clock, live):
    """It is printed and filed."""
    payment = create(live)
    assert BankInTest(client, clock).confirm(payment).status_code == 200
    assert TEST not in page_of(client, payment, "/receipt")


@pytest.mark.parametrize("environment", ["test", "live"])
def test_the_receipt_and_its_mail_say_test(app, client, clock, live, environment):
    """A receipt of a sandbox must not prove a payment."""
    rows = BankRows(app, clock)
    values = {"status": "confirmed", "resolved_at": clock.now(), "end_to_end_id": "E1"}
    payment = rows.payment(rows.account(environment=environment), **values, look_up_at=None)
    page = page_of(client, {"id": payment.txid}, "/receipt")
    assert (TEST in page) is (environment == "test")
    facts = client.get(
        f"/payments/pix/{payment.txid}/receipt", headers={"Accept": "application/json"}
    )
    assert facts.json["receipt"]["livemode"] is (environment == "live")
