"""Wallets the service opens for its payers: signed word only, and the PIN stays at the bank."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import func, select

from bank.models import BankAccount, BankPayer, Transfer
from bank.money.audit import audit
from bank.money.wallets import OPENING_CENTAVOS
from core.signing.signatures import new_secret, signed_headers
from tests.db.crowd import at_once

BOB = {"holder": "b" * 32, "login": "bob", "name": "Bob de Souza"}


def ordered(bank, path, body, secret=None):
    """A POST of the service's, signed over its body."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    secret = secret or bank.branch.settings.webhook_secret
    signed = signed_headers(secret, "msg_order", bank.clock.now(), raw)
    client = bank.app.test_client()
    return client.post(path, data=raw, headers={**signed, "Content-Type": "application/json"})


def opened(bank, **changes):
    """Bob's wallet, as it is told when it is opened."""
    answer = ordered(bank, "/api/wallets", {**BOB, **changes})
    assert answer.status_code in (200, 201), answer.text
    return answer.get_json()


def order_for(bank, service, wallet, **changes):
    """A payment from Bob's wallet of a new charge of R$ 54,90."""
    code, txid = service.charge(bank.clock.now())
    body = {"holder": BOB["holder"], "code": code, "txid": txid, "value": "54.90"}
    return {**body, "pin": wallet["pin"], **changes}


def pay(bank, body):
    """Send it."""
    return ordered(bank, "/api/wallets/payments", body)


def test_a_wallet_comes_with_a_card_a_pin_and_money_that_came_from_somewhere(any_bank):
    """What the opening account lacks is what the wallet holds: all together still are zero."""
    told = opened(any_bank)
    assert told["wallet"]["balance_centavos"] == OPENING_CENTAVOS
    assert told["wallet"]["card_masked"].endswith(told["card"][-4:])
    shown = any_bank.asked(f"/api/wallets/{BOB['holder']}")
    assert shown.get_json()["wallet"] == told["wallet"]
    assert told["card"] not in shown.text
    found = audit(any_bank.branch.database)
    assert (found.faults, found.total_centavos) == ((), 0)


def test_only_the_service_may_open_show_and_pay(bank, service):
    """Unsigned, signed by another, or signed for something else: nothing is opened or told."""
    wallet = opened(bank)
    other = new_secret()
    order = order_for(bank, service, wallet)
    for path, body in (("/api/wallets", BOB), ("/api/wallets/payments", order)):
        assert ordered(bank, path, body, other).status_code == 401
        assert bank.client.post(path, json=body).status_code == 401
    target = f"/api/wallets/{BOB['holder']}"
    assert bank.client.get(target).status_code == 401
    signed = signed_headers(
        bank.branch.settings.webhook_secret, "msg", bank.clock.now(), b"GET /api/wallets/other"
    )
    assert bank.client.get(target, headers=signed).status_code == 401
    assert service.notices == []


def test_a_body_fits_one_address_alone(bank, service):
    """Signed bytes that were seen once open no other door."""
    wallet = opened(bank)
    order = order_for(bank, service, wallet)
    assert ordered(bank, "/api/wallets", order).status_code == 400
    assert ordered(bank, "/api/wallets/payments", BOB).status_code == 400
    assert ordered(bank, "/api/refunds", order).status_code == 400
    assert pay(bank, order).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"holder": NaN}',
        {},
        {**BOB, "holder": ""},
        {**BOB, "holder": "../x"},
        {**BOB, "holder": "x" * 65},
        {**BOB, "holder": 7},
        {**BOB, "login": None},
        {**BOB, "name": ["x"]},
        {**BOB, "name": "x" * 121},
        {**BOB, "pin": "12"},
        {**BOB, "pin": 1234},
        {**BOB, "pin": "١٢٣٤"},
        {**BOB, "balance": "1000000.00"},
        {**BOB, "limit": 1},
    ],
    ids=str,
)
def test_what_is_no_order_opens_nothing(bank, body):
    """Also nobody chooses the balance."""
    answer = ordered(bank, "/api/wallets", body)
    assert answer.status_code == 400
    with bank.branch.database.reading() as session:
        assert session.scalar(select(func.count(BankPayer.id))) == 3


def test_names_that_no_screen_shows_are_cleaned(bank):
    """A name goes onto receipts and into notices."""
    told = opened(bank, name="Bob\u202e\u0000 \n de Souza", login="../../ÉTÉ?")
    assert told["wallet"]["name"] == "Bob de Souza"
    assert told["wallet"]["handle"] == "t"
    assert opened(bank, holder="c" * 32, login="@@@")["wallet"]["handle"].startswith("cliente-")


def test_wallets_opened_at_once_for_one_holder_are_one_wallet(any_bank):
    """Two processes answer the same first visit; the money is given away once."""
    path = "/api/wallets"
    answers = at_once([partial(ordered, any_bank, path, {**BOB, "pin": "4321"}) for _ in range(8)])
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert sum(answer.status_code == 201 for answer in answers) == 1
    assert len({answer.get_json()["card"] for answer in answers}) == 1
    with any_bank.branch.database.reading() as session:
        held = select(func.count(BankPayer.id)).where(BankPayer.holder == BOB["holder"])
        assert session.scalar(held) == 1
        given = (
            select(func.count(Transfer.id))
            .join(BankAccount, BankAccount.id == Transfer.credit_account_id)
            .where(BankAccount.name == f"wallet:{BOB['holder']}")
        )
        assert session.scalar(given) == 1


def test_logins_that_become_one_handle_get_handles_of_their_own(any_bank):
    """The handle is a name at this bank, and Bia has hers already."""
    handles = [
        opened(any_bank, holder=holder * 32, login="bia")["wallet"]["handle"] for holder in "xyz"
    ]
    assert len({*handles, "bia"}) == 4


def test_the_amount_agreed_is_the_amount_paid(bank, service):
    """What the payer saw at the service binds, should the charge ask for another by now."""
    wallet = opened(bank)
    answer = pay(bank, order_for(bank, service, wallet, value="54.89"))
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (409, "amount-changed")
    for value in ("0", "-1", "1e99", "x", "54.901"):
        assert pay(bank, order_for(bank, service, wallet, value=value)).status_code == 400
    assert service.notices == []


def test_the_same_charge_is_paid_once_by_a_wallet(any_bank, service):
    """However often, and at the same moment."""
    wallet = opened(any_bank)
    order = order_for(any_bank, service, wallet)
    answers = at_once([partial(pay, any_bank, order) for _ in range(8)])
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.get_json()["payment"]["end_to_end_id"] for answer in answers}) == 1
    assert answers[0].get_json()["balance_centavos"] == OPENING_CENTAVOS - 5490
    assert len({notice.message_id for notice in service.notices}) == 1


def test_a_wrong_pin_repeats_no_payment(bank, service):
    """Else whoever guesses would be shown somebody's payment for the asking."""
    wallet = opened(bank)
    order = order_for(bank, service, wallet)
    assert pay(bank, order).status_code == 200
    wrong = "000000" if wallet["pin"] != "000000" else "000001"
    answer = pay(bank, {**order, "pin": wrong})
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (403, "pin-refused")


def test_money_that_came_back_leaves_the_way_free(bank, service):
    """The charge can be paid anew once its first payment was returned."""
    service.answers = [(409, "payment-cancelled"), 200]
    wallet = opened(bank)
    order = order_for(bank, service, wallet)
    first, again = (pay(bank, order).get_json() for _ in range(2))
    assert (first["payment"]["status"], again["payment"]["status"]) == ("returned", "confirmed")
    assert first["answer"]["code"] == "payment-cancelled"
    assert first["balance_centavos"] == OPENING_CENTAVOS
    assert again["balance_centavos"] == OPENING_CENTAVOS - 5490


def test_a_demo_client_is_one_holders_and_no_second_ones(bank):
    """Whoever asks for one that is taken gets a wallet of their own."""
    first = opened(bank, demo="bia")
    again = opened(bank, demo="bia")
    assert first["wallet"]["handle"] == again["wallet"]["handle"] == "bia"
    assert first["pin"] is None
    other = opened(bank, holder="c" * 32, login="carla", demo="bia")
    assert other["wallet"]["handle"] == "carla"
    missing = opened(bank, holder="d" * 32, login="davi", demo="nobody")
    assert missing["wallet"]["handle"] == "davi"


def test_a_wallet_is_nobodys_to_enter_by_the_demo_pin(bank):
    """The login page offers the demo clients with one press; a wallet has a PIN of its own."""
    opened(bank)
    page = bank.client.get("/login").text
    assert "Bia Andrade" in page
    assert "Bob de Souza" not in page


def test_a_wallet_that_does_not_exist_is_not_found(bank, service):
    """Neither shown nor paid from."""
    assert bank.asked("/api/wallets/nobody").status_code == 404
    answer = pay(bank, order_for(bank, service, {"pin": "1234"}))
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (404, "wallet-not-found")
    assert bank.asked("/api/wallets/x!").status_code == 400


def test_a_bank_that_is_no_demo_gives_no_money_away(bank, monkeypatch):
    """Opening balances are made up: only where everything is."""
    wallets = bank.branch.wallets
    monkeypatch.setattr(wallets, "_settings", replace(bank.branch.settings, demo=False))
    assert ordered(bank, "/api/wallets", BOB).status_code == 404
