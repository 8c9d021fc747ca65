"""Wallets that the service opens for its payers by signed requests."""

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


def post_signed(bank, path, body, secret=None):
    """Send a POST that the service signs over its body."""
    body_bytes = body if isinstance(body, bytes) else json.dumps(body).encode()
    secret = secret or bank.branch.settings.webhook_secret
    headers = signed_headers(secret, "msg_order", bank.clock.now(), body_bytes)
    client = bank.app.test_client()
    return client.post(
        path, data=body_bytes, headers={**headers, "Content-Type": "application/json"}
    )


def open_bobs_wallet(bank, **changes):
    """Open Bob's wallet and return the JSON of the response."""
    answer = post_signed(bank, "/api/wallets", {**BOB, **changes})
    assert answer.status_code in (200, 201), answer.text
    return answer.get_json()


def order_for(bank, service, wallet, **changes):
    """The body of a payment of a new charge of R$ 54,90 from Bob's wallet."""
    code, txid = service.charge(bank.clock.now())
    body = {"holder": BOB["holder"], "code": code, "txid": txid, "value": "54.90"}
    return {**body, "pin": wallet["pin"], **changes}


def pay(bank, body):
    """Send the payment."""
    return post_signed(bank, "/api/wallets/payments", body)


def test_a_wallet_has_a_card_a_pin_and_an_opening_balance(any_bank):
    """The opening account is debited, so that all balances still add up to zero."""
    wallet_json = open_bobs_wallet(any_bank)
    assert wallet_json["wallet"]["balance_centavos"] == OPENING_CENTAVOS
    assert wallet_json["wallet"]["card_masked"].endswith(wallet_json["card"][-4:])
    shown_wallet = any_bank.signed_get(f"/api/wallets/{BOB['holder']}")
    assert shown_wallet.get_json()["wallet"] == wallet_json["wallet"]
    assert wallet_json["card"] not in shown_wallet.text
    report = audit(any_bank.branch.database)
    assert (report.faults, report.total_centavos) == ((), 0)


def test_only_the_service_may_open_show_and_pay(bank, service):
    """A request without signature, with another secret or for another address is refused."""
    wallet = open_bobs_wallet(bank)
    other = new_secret()
    order = order_for(bank, service, wallet)
    for path, body in (("/api/wallets", BOB), ("/api/wallets/payments", order)):
        assert post_signed(bank, path, body, other).status_code == 401
        assert bank.client.post(path, json=body).status_code == 401
    target = f"/api/wallets/{BOB['holder']}"
    assert bank.client.get(target).status_code == 401
    headers = signed_headers(
        bank.branch.settings.webhook_secret, "msg", bank.clock.now(), b"GET /api/wallets/other"
    )
    assert bank.client.get(target, headers=headers).status_code == 401
    assert service.notices == []


def test_the_body_of_one_address_is_refused_at_another(bank, service):
    """Signed bytes that somebody has seen are valid for no other request."""
    wallet = open_bobs_wallet(bank)
    order = order_for(bank, service, wallet)
    assert post_signed(bank, "/api/wallets", order).status_code == 400
    assert post_signed(bank, "/api/wallets/payments", BOB).status_code == 400
    assert post_signed(bank, "/api/refunds", order).status_code == 400
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
def test_an_invalid_order_opens_no_wallet(bank, body):
    """A field for the balance is refused too."""
    answer = post_signed(bank, "/api/wallets", body)
    assert answer.status_code == 400
    with bank.branch.database.reading() as session:
        assert session.scalar(select(func.count(BankPayer.id))) == 3


def test_invisible_characters_are_removed_from_names(bank):
    """A name appears on receipts and in notices."""
    wallet_json = open_bobs_wallet(bank, name="Bob\u202e\u0000 \n de Souza", login="../../ÉTÉ?")
    assert wallet_json["wallet"]["name"] == "Bob de Souza"
    assert wallet_json["wallet"]["handle"] == "t"
    assert open_bobs_wallet(bank, holder="c" * 32, login="@@@")["wallet"]["handle"].startswith(
        "cliente-"
    )


def test_wallets_opened_at_once_for_one_holder_are_one_wallet(any_bank):
    """Two processes handle the same first visit; the opening balance is paid once."""
    path = "/api/wallets"
    answers = at_once(
        [partial(post_signed, any_bank, path, {**BOB, "pin": "4321"}) for _ in range(8)]
    )
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert sum(answer.status_code == 201 for answer in answers) == 1
    assert len({answer.get_json()["card"] for answer in answers}) == 1
    with any_bank.branch.database.reading() as session:
        wallet_count = select(func.count(BankPayer.id)).where(BankPayer.holder == BOB["holder"])
        assert session.scalar(wallet_count) == 1
        opening_total = (
            select(func.count(Transfer.id))
            .join(BankAccount, BankAccount.id == Transfer.credit_account_id)
            .where(BankAccount.name == f"wallet:{BOB['holder']}")
        )
        assert session.scalar(opening_total) == 1


def test_logins_with_the_same_handle_get_different_handles(any_bank):
    """Handles are unique at this bank, and Bia already has hers."""
    handles = [
        open_bobs_wallet(any_bank, holder=holder * 32, login="bia")["wallet"]["handle"]
        for holder in "xyz"
    ]
    assert len({*handles, "bia"}) == 4


def test_the_amount_agreed_is_the_amount_paid(bank, service):
    """The amount that the payer saw at the service is binding if the charge has changed."""
    wallet = open_bobs_wallet(bank)
    answer = pay(bank, order_for(bank, service, wallet, value="54.89"))
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (409, "amount-changed")
    for value in ("0", "-1", "1e99", "x", "54.901"):
        assert pay(bank, order_for(bank, service, wallet, value=value)).status_code == 400
    assert service.notices == []


def test_the_same_charge_is_paid_once_by_a_wallet(any_bank, service):
    """Requests may be repeated, one after the other and at the same moment."""
    wallet = open_bobs_wallet(any_bank)
    order = order_for(any_bank, service, wallet)
    answers = at_once([partial(pay, any_bank, order) for _ in range(8)])
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.get_json()["payment"]["end_to_end_id"] for answer in answers}) == 1
    assert answers[0].get_json()["balance_centavos"] == OPENING_CENTAVOS - 5490
    assert len({notice.message_id for notice in service.notices}) == 1


def test_a_wrong_pin_repeats_no_payment(bank, service):
    """Otherwise a wrong guess would show the earlier payment."""
    wallet = open_bobs_wallet(bank)
    order = order_for(bank, service, wallet)
    assert pay(bank, order).status_code == 200
    wrong_pin = "000000" if wallet["pin"] != "000000" else "000001"
    answer = pay(bank, {**order, "pin": wrong_pin})
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (403, "pin-refused")


def test_a_returned_payment_can_be_paid_again(bank, service):
    """The charge is still open, so a second payment is allowed."""
    service.answers = [(409, "payment-cancelled"), 200]
    wallet = open_bobs_wallet(bank)
    order = order_for(bank, service, wallet)
    first, repeated = (pay(bank, order).get_json() for _ in range(2))
    assert (first["payment"]["status"], repeated["payment"]["status"]) == ("returned", "confirmed")
    assert first["answer"]["code"] == "payment-cancelled"
    assert first["balance_centavos"] == OPENING_CENTAVOS
    assert repeated["balance_centavos"] == OPENING_CENTAVOS - 5490


def test_a_demo_client_belongs_to_one_holder(bank):
    """A second holder who asks for the same client gets a new wallet."""
    first = open_bobs_wallet(bank, demo="bia")
    repeated = open_bobs_wallet(bank, demo="bia")
    assert first["wallet"]["handle"] == repeated["wallet"]["handle"] == "bia"
    assert first["pin"] is None
    other = open_bobs_wallet(bank, holder="c" * 32, login="carla", demo="bia")
    assert other["wallet"]["handle"] == "carla"
    unknown_demo = open_bobs_wallet(bank, holder="d" * 32, login="davi", demo="nobody")
    assert unknown_demo["wallet"]["handle"] == "davi"


def test_a_wallet_does_not_open_with_the_demo_pin(bank):
    """The login page offers the demo clients only; a wallet has a PIN of its own."""
    open_bobs_wallet(bank)
    page = bank.client.get("/login").text
    assert "Bia Andrade" in page
    assert "Bob de Souza" not in page


def test_a_wallet_that_does_not_exist_is_not_found(bank, service):
    """It can be neither shown nor paid from."""
    assert bank.signed_get("/api/wallets/nobody").status_code == 404
    answer = pay(bank, order_for(bank, service, {"pin": "1234"}))
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (404, "wallet-not-found")
    assert bank.signed_get("/api/wallets/x!").status_code == 400


def test_production_opens_no_wallets(bank, monkeypatch):
    """Opening balances are play money, which exists in development only."""
    wallets = bank.branch.wallets
    monkeypatch.setattr(wallets, "_settings", replace(bank.branch.settings, demo=False))
    assert post_signed(bank, "/api/wallets", BOB).status_code == 404
