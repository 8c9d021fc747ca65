"""A payer's wallet: opened with the sign-up, or later with a PIN that the payer chooses."""

from __future__ import annotations

import re

import pytest

from bank.money.wallets import LIMIT_CENTAVOS, OPENING_CENTAVOS
from blueprints.payer.demo import DEMO_PAYER, DEMO_PIN, ensure_demo_payer
from tests.payer.conftest import PASSWORD, sign_up
from tests.support.service import close_app, ready_app, settings_for


def problem(answer):
    """Status and code of a refusal."""
    return answer.status_code, answer.get_json(force=True)["code"]


def has_valid_luhn_digit(number):
    """Whether a card's check digit is right (ISO/IEC 7812-1)."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def test_a_payers_sign_up_opens_a_wallet_and_answers_card_and_pin_once(here):
    """The service passes the bank's card and PIN on, and stores neither."""
    bob = sign_up(here, "bob")
    assert re.fullmatch(r"999001\d{10}", bob.card)
    assert has_valid_luhn_digit(bob.card)
    assert re.fullmatch(r"\d{6}", bob.pin)
    wallet = bob.wallet().get_json()
    assert wallet["card_masked"].endswith(bob.card[-4:])
    assert bob.card not in bob.wallet().text
    assert (wallet["balance_centavos"], wallet["limit_centavos"]) == (
        OPENING_CENTAVOS,
        LIMIT_CENTAVOS,
    )
    assert wallet["bank_login"] == "bob"
    assert (here.audit().faults, here.audit().total_centavos) == ((), 0)


def test_two_payers_have_different_cards(here):
    """Also if the bank would give both the same login."""
    first, second = sign_up(here, "bob"), sign_up(here, "Bob.")
    assert first.card != second.card
    logins = [person.wallet().get_json()["bank_login"] for person in (first, second)]
    assert logins[0] == "bob"
    assert re.fullmatch(r"bob-[0-9a-f]{6}", logins[1])


def test_card_and_pin_open_the_banks_own_application(here):
    """Service and bank show the same wallet."""
    bob = sign_up(here, "bob")
    bob.pay(here.create())
    for login in ("bob", bob.card):
        answer = here.bank_app.test_client().get("/api/statement", auth=(login, bob.pin))
        assert answer.status_code == 200
        assert answer.get_json()["balance_centavos"] == OPENING_CENTAVOS - 5490


def test_a_pin_may_be_chosen_at_the_sign_up(here):
    """Then the answer does not repeat the PIN."""
    bob = sign_up(here, "bob", pin="8642")
    assert bob.sign_up_answer["pin"] is None
    assert bob.pay(here.create(), pin="8642").status_code == 200


@pytest.mark.parametrize("pin", ["123", "1234567", "12a4", "", 1234])
def test_an_invalid_pin_creates_no_account(here, pin):
    """The PIN is checked before the account is created."""
    body = {"username": "bob", "password": PASSWORD, "role": "payer", "pin": pin}
    assert here.client().post("/users/", json=body).status_code == 400
    del body["pin"]
    assert here.client().post("/users/", json=body).status_code == 201


def test_a_merchant_has_no_wallet_and_no_pin(here):
    """A merchant's sign-up refuses a PIN, and answers no card."""
    body = {"username": "alice", "password": PASSWORD, "pin": "1234"}
    assert here.client().post("/users/", json=body).status_code == 400
    alice = sign_up(here, "alice", "merchant")
    assert "card" not in alice.sign_up_answer
    assert problem(alice.wallet()) == (403, "forbidden")


def test_a_repeated_sign_up_does_not_answer_the_pin_again(here):
    """A retry with the Idempotency-Key answers the account; the PIN was never stored."""
    body = {"username": "bob", "password": PASSWORD, "role": "payer"}
    key = {"Idempotency-Key": "sign-up-1"}
    first = here.client().post("/users/", json=body, headers=key)
    again = here.client().post("/users/", json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.get_json()["pin"] not in again.text
    assert first.get_json()["id"] == again.get_json()["id"]


def test_a_sign_up_succeeds_while_the_bank_is_unreachable(here):
    """The account does not need the bank; the payer opens the wallet later."""
    here.close_bank()
    bob = sign_up(here, "bob")
    assert (bob.sign_up_answer["card"], bob.sign_up_answer["pin"]) == (None, None)
    assert problem(bob.wallet()) == (503, "bank-unavailable")
    here.open_bank()
    assert problem(bob.wallet()) == (409, "no-wallet")
    payment = here.create()
    assert problem(bob.pay(payment, pin="1234")) == (409, "no-wallet")
    answer = bob.client.post("/api/wallet", json={"pin": "2468"}, headers=bob.headers())
    assert answer.status_code == 201
    assert answer.get_json()["pin"] is None
    assert has_valid_luhn_digit(answer.get_json()["card"])
    assert bob.pay(payment, pin="2468").status_code == 200


def test_a_card_gets_a_new_pin_until_its_first_use(here):
    """The sign-up's answer may get lost; after the first payment nobody can reset the PIN."""
    bob = sign_up(here, "bob")
    old_pin = bob.pin
    answer = bob.client.post("/api/wallet", json={}, headers=bob.headers())
    assert answer.status_code == 201
    reissue = answer.get_json()
    assert (reissue["card"], reissue["balance_centavos"]) == (bob.card, OPENING_CENTAVOS)
    payment = here.create()
    if reissue["pin"] != old_pin:
        assert problem(bob.pay(payment)) == (403, "pin-refused")
    assert bob.pay(payment, pin=reissue["pin"]).status_code == 200
    for body in ({}, {"pin": "1111"}):
        refusal = bob.client.post("/api/wallet", json=body, headers=bob.headers())
        assert problem(refusal) == (409, "wallet-exists")
    assert bob.pay(here.create(), pin=reissue["pin"]).status_code == 200
    assert (here.audit().faults, here.audit().total_centavos) == ((), 0)


def test_paying_in_the_banks_own_application_ends_pin_resets_as_well(here):
    """Otherwise a stolen session could reset the PIN of a card that is in use."""
    bob = sign_up(here, "bob")
    here.pay(here.create(), payer="bob", pin=bob.pin)
    refusal = bob.client.post("/api/wallet", json={"pin": "1111"}, headers=bob.headers())
    assert problem(refusal) == (409, "wallet-exists")


def test_a_locked_card_is_not_unlocked_by_opening_the_wallet_again(here):
    """After a right PIN, the wallet cannot be opened again to get five more attempts."""
    bob = sign_up(here, "bob")
    assert bob.pay(here.create()).status_code == 200
    wrong = "0000" if bob.pin != "0000" else "0001"
    payment = here.create()
    for _ in range(5):
        bob.pay(payment, pin=wrong)
    answer = bob.client.post("/api/wallet", json={"pin": "1111"}, headers=bob.headers())
    assert problem(answer) == (409, "wallet-exists")
    assert problem(bob.pay(payment)) == (403, "pin-locked")


def test_the_demo_payer_pays_as_a_demo_client_of_the_bank(here):
    """The password is printed at the start; the PIN is the bank's demo PIN."""
    settings = here.app.config["BALCAO"]
    with here.app.app_context():
        ensure_demo_payer(settings)
        ensure_demo_payer(settings)
    client = here.client()
    body = {"username": DEMO_PAYER, "password": settings.demo_password}
    login = client.post("/api/login", json=body)
    assert login.status_code == 200
    bearer = {"Authorization": f"Bearer {login.get_json()['access_token']}"}
    before = here.balance("bia")
    wallet = here.client().get("/api/wallet", headers=bearer).get_json()
    assert (wallet["balance_centavos"], wallet["bank_login"]) == (before, "bia")
    payment = here.create()
    paid = here.client().post(f"/api/pay/{payment['id']}", json={"pin": DEMO_PIN}, headers=bearer)
    assert (paid.status_code, paid.get_json()["state"]) == (200, "completed")
    assert here.balance("bia") == before - 5490
    answer = here.client().post("/api/wallet", json={"pin": "9999"}, headers=bearer)
    assert problem(answer) == (409, "wallet-exists")
    assert here.pay(here.create())["status"] == "confirmed"  # her PIN is still the demo PIN


def test_without_a_simulated_bank_there_are_no_payers_pages(fresh_database, tmp_path, clock):
    """In production payers pay in their bank's application."""
    settings = settings_for(
        fresh_database("sqlite"), tmp_path, app_env="production", sign_up="open"
    )
    app = ready_app(settings, clock)
    try:
        client = app.test_client()
        for method, path in (
            ("GET", "/pay"),
            ("GET", f"/pay/{'0' * 32}"),
            ("POST", f"/api/pay/{'0' * 32}"),
            ("GET", "/api/wallet"),
            ("POST", "/api/wallet"),
        ):
            assert client.open(path, method=method, json={}).status_code == 404, path
        body = {"username": "bob", "password": PASSWORD, "role": "payer"}
        answer = client.post("/users/", json=body)
        assert answer.status_code == 400
        assert [error["field"] for error in answer.get_json()["errors"]] == ["role"]
    finally:
        close_app(app)
