"""A payer's wallet: opened with the sign-up, or later with a PIN of the payer's own."""

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


def luhn_is_right(number):
    """Whether a card's check digit is (ISO/IEC 7812-1)."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def test_a_payers_sign_up_opens_a_wallet_and_tells_card_and_pin_once(here):
    """They are the bank's; the service shows them on their way through and keeps neither."""
    bob = sign_up(here, "bob")
    assert re.fullmatch(r"999001\d{10}", bob.card)
    assert luhn_is_right(bob.card)
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


def test_two_payers_have_cards_and_pins_of_their_own(here):
    """Also where the second's login looks like the first's at the bank."""
    one, other = sign_up(here, "bob"), sign_up(here, "Bob.")
    assert one.card != other.card
    logins = [person.wallet().get_json()["bank_login"] for person in (one, other)]
    assert logins[0] == "bob"
    assert re.fullmatch(r"bob-[0-9a-f]{6}", logins[1])


def test_card_and_pin_open_the_banks_own_application(here):
    """The statement is there: one wallet, two doors."""
    bob = sign_up(here, "bob")
    bob.pay(here.create())
    for who in ("bob", bob.card):
        asked = here.bank_app.test_client().get("/api/statement", auth=(who, bob.pin))
        assert asked.status_code == 200
        assert asked.get_json()["balance_centavos"] == OPENING_CENTAVOS - 5490


def test_a_pin_may_be_chosen_at_the_sign_up(here):
    """Then it is not told again."""
    bob = sign_up(here, "bob", pin="8642")
    assert bob.told["pin"] is None
    assert bob.pay(here.create(), pin="8642").status_code == 200


@pytest.mark.parametrize("pin", ["123", "1234567", "12a4", "", 1234])
def test_a_pin_that_is_none_makes_no_account(here, pin):
    """Said before anything is made."""
    body = {"username": "bob", "password": PASSWORD, "role": "payer", "pin": pin}
    assert here.client().post("/users/", json=body).status_code == 400
    del body["pin"]
    assert here.client().post("/users/", json=body).status_code == 201


def test_a_merchant_has_no_wallet_and_no_pin(here):
    """Nor is told of one."""
    body = {"username": "alice", "password": PASSWORD, "pin": "1234"}
    assert here.client().post("/users/", json=body).status_code == 400
    alice = sign_up(here, "alice", "merchant")
    assert "card" not in alice.told
    assert problem(alice.wallet()) == (403, "forbidden")


def test_a_repeated_sign_up_does_not_tell_the_pin_again(here):
    """Under its Idempotency-Key the account is answered again; the PIN was kept nowhere."""
    body = {"username": "bob", "password": PASSWORD, "role": "payer"}
    key = {"Idempotency-Key": "sign-up-1"}
    first = here.client().post("/users/", json=body, headers=key)
    again = here.client().post("/users/", json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.get_json()["pin"] not in again.text
    assert first.get_json()["id"] == again.get_json()["id"]


def test_a_sign_up_succeeds_while_the_bank_is_away(here):
    """An account is ours to give; the wallet follows with a PIN of the payer's choice."""
    here.close_bank()
    bob = sign_up(here, "bob")
    assert (bob.told["card"], bob.told["pin"]) == (None, None)
    assert problem(bob.wallet()) == (503, "bank-unavailable")
    here.open_bank()
    assert problem(bob.wallet()) == (409, "no-wallet")
    payment = here.create()
    assert problem(bob.pay(payment, pin="1234")) == (409, "no-wallet")
    opened = bob.client.post("/api/wallet", json={"pin": "2468"}, headers=bob.headers())
    assert opened.status_code == 201
    assert opened.get_json()["pin"] is None
    assert luhn_is_right(opened.get_json()["card"])
    assert bob.pay(payment, pin="2468").status_code == 200


def test_a_card_is_issued_anew_until_its_pin_was_right_once(here):
    """The sign-up's answer may be lost on its way; after the first payment nobody resets a PIN."""
    bob = sign_up(here, "bob")
    lost = bob.pin
    anew = bob.client.post("/api/wallet", json={}, headers=bob.headers())
    assert anew.status_code == 201
    told = anew.get_json()
    assert (told["card"], told["balance_centavos"]) == (bob.card, OPENING_CENTAVOS)
    payment = here.create()
    if told["pin"] != lost:
        assert problem(bob.pay(payment)) == (403, "pin-refused")
    assert bob.pay(payment, pin=told["pin"]).status_code == 200
    for body in ({}, {"pin": "1111"}):
        refused = bob.client.post("/api/wallet", json=body, headers=bob.headers())
        assert problem(refused) == (409, "wallet-exists")
    assert bob.pay(here.create(), pin=told["pin"]).status_code == 200
    assert (here.audit().faults, here.audit().total_centavos) == ((), 0)


def test_paying_in_the_banks_own_application_proves_the_pin_as_well(here):
    """Else a stolen session could reset the PIN of a card that is in use."""
    bob = sign_up(here, "bob")
    here.pay(here.create(), payer="bob", pin=bob.pin)
    refused = bob.client.post("/api/wallet", json={"pin": "1111"}, headers=bob.headers())
    assert problem(refused) == (409, "wallet-exists")


def test_a_locked_card_is_not_unlocked_by_opening_it_anew(here):
    """Five guesses are five guesses, once the PIN has been right."""
    bob = sign_up(here, "bob")
    assert bob.pay(here.create()).status_code == 200
    wrong = "0000" if bob.pin != "0000" else "0001"
    payment = here.create()
    for _ in range(5):
        bob.pay(payment, pin=wrong)
    anew = bob.client.post("/api/wallet", json={"pin": "1111"}, headers=bob.headers())
    assert problem(anew) == (409, "wallet-exists")
    assert problem(bob.pay(payment)) == (403, "pin-locked")


def test_the_demo_payer_pays_as_a_demo_client_of_the_bank(here):
    """A developer can try at once: the password is printed, the PIN is the bank's demo PIN."""
    settings = here.app.config["BALCAO"]
    with here.app.app_context():
        ensure_demo_payer(settings)
        ensure_demo_payer(settings)
    client = here.client()
    body = {"username": DEMO_PAYER, "password": settings.demo_password}
    entered = client.post("/api/login", json=body)
    assert entered.status_code == 200
    bearer = {"Authorization": f"Bearer {entered.get_json()['access_token']}"}
    before = here.balance("bia")
    wallet = here.client().get("/api/wallet", headers=bearer).get_json()
    assert (wallet["balance_centavos"], wallet["bank_login"]) == (before, "bia")
    payment = here.create()
    paid = here.client().post(f"/api/pay/{payment['id']}", json={"pin": DEMO_PIN}, headers=bearer)
    assert (paid.status_code, paid.get_json()["state"]) == (200, "completed")
    assert here.balance("bia") == before - 5490
    anew = here.client().post("/api/wallet", json={"pin": "9999"}, headers=bearer)
    assert problem(anew) == (409, "wallet-exists")
    assert here.pay(here.create())["status"] == "confirmed"  # her PIN is still the demo PIN


def test_without_a_simulated_bank_there_is_no_payers_door(fresh_database, tmp_path, clock):
    """In production people pay in their bank's own application."""
    settings = settings_for(fresh_database("sqlite"), tmp_path, app_env="production")
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
        assert answer.status_code == 201
        assert "card" not in answer.get_json()
    finally:
        close_app(app)
