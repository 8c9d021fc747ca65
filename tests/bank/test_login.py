"""The login: each account belongs to one payer, and strangers see nothing of it."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest

from bank.blueprints.sessions import local_path
from tests.bank.conftest import hidden_fields


def test_a_link_with_a_code_leads_through_the_login_to_the_review(bank, service):
    """A payer who came to pay need not enter the code again."""
    code, txid = service.charge(bank.clock.now())

    redirect = bank.client.get("/pay", query_string={"code": code, "scenario": "double"})
    form = bank.client.get(redirect.location)
    logged_in = bank.client.post(
        "/login", data={**hidden_fields(form.text), "login": "bia", "pin": "1234"}
    )

    assert (redirect.status_code, urlsplit(redirect.location).path) == (303, "/login")
    assert logged_in.status_code == 303
    review = bank.client.get(logged_in.location).text
    assert txid in review
    assert "duas vezes" in review


@pytest.mark.parametrize(
    "login",
    [
        "bia",
        " BIA ",
        "Bia\u200b",
        "9990012345670018",
        "9990 0123 4567 0018",
        "9990\u2011012345670018",
    ],
)
def test_card_and_handle_both_log_in(bank, login):
    """The card number may have spaces, as on the card."""
    assert bank.log_in(login).status_code == 303
    assert "Olá, Bia" in bank.client.get("/").text


@pytest.mark.parametrize(
    ("login", "pin"),
    [
        ("bia", "9999"),
        ("charlie", "1234"),
        ("9990012345679999", "1234"),
        ("' OR 1=1 --", "1234"),
        ("\x00", "1234"),
        ("💸" * 400, "1234"),
    ],
)
def test_a_wrong_card_and_a_wrong_pin_get_the_same_error(bank, login, pin):
    """The form must not reveal which cards exist."""
    refusal = bank.log_in(login, pin)

    assert refusal.status_code == 403
    assert "Cartão ou senha não conferem" in refusal.text
    assert bank.client.get("/").status_code == 303


def test_five_wrong_pins_lock_the_card_at_the_login_and_at_the_payment(bank, service):
    """Both share one count, so that neither is a way around the other."""
    code, _ = service.charge(bank.clock.now())
    for _ in range(3):
        bank.log_in("bia", "9999")
    bank.pay(code, pin="9999")

    refusal = bank.log_in("bia", "9999")

    assert "bloqueada depois de 5 tentativas" in refusal.text
    assert bank.log_in("bia", "1234").status_code == 403
    assert bank.pay(code).get_json()["code"] == "pin-locked"
    assert bank.balance() == 482_350


def test_a_login_with_the_right_pin_resets_the_count(bank):
    """Occasional typing errors must not add up to a locked card."""
    for _ in range(2):
        for _ in range(4):
            bank.log_in("caio", "9999")
        assert bank.log_in("caio").status_code == 303
        bank.client.post("/logout", data=hidden_fields(bank.client.get("/").text))


def test_a_stranger_sees_nothing_of_other_accounts(bank, service):
    """Charlie, without an account and with another one, requests each page of Bia's."""
    code, _ = service.charge(bank.clock.now())
    receipt = bank.pay_on_page(code).location
    charlie = bank.app.test_client()
    for path in ("/", receipt, f"/pay?code={quote(code)}"):
        answer = charlie.get(path)
        assert (answer.status_code, "Bia" in answer.text) == (303, False)
    assert charlie.get("/api/statement").status_code == 401
    assert charlie.get("/api/statement?payer=bia").status_code == 401

    form = hidden_fields(charlie.get("/login").text)
    charlie.post("/login", data={**form, "login": "caio", "pin": "1234"})

    assert charlie.get(receipt).status_code == 404
    assert "Andrade" not in charlie.get("/").text
    mine = charlie.get("/api/statement?payer=bia").get_json()
    assert mine["payer"]["handle"] == "caio"
    assert bank.client.get(receipt).status_code == 200


def test_a_request_key_reveals_no_payment_of_another_payer(bank, service):
    """Somebody who guesses Bia's key, but not her PIN, must not see what she paid."""
    code, _ = service.charge(bank.clock.now())
    key = {"Idempotency-Key": "order 1042"}
    bank.client.post("/api/pay", json={"code": code, "pin": "1234"}, headers=key)

    guess = bank.client.post("/api/pay", json={"code": code, "pin": "9999"}, headers=key)

    assert guess.get_json()["code"] == "pin-refused"


def test_logout_ends_the_session_and_a_login_starts_a_new_one(bank):
    """A CSRF token from before the login is invalid after it."""
    before = hidden_fields(bank.client.get("/login").text)["token"]
    bank.log_in()
    after = hidden_fields(bank.client.get("/").text)["token"]
    logout = bank.client.post("/logout", data={"token": after})

    assert before != after
    assert logout.status_code == 303
    assert bank.client.get("/").status_code == 303


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "/\t/evil.example/",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/" + "a" * 5000,
        "",
    ],
)
def test_the_login_redirects_to_paths_of_the_bank_only(bank, elsewhere):
    """A link to the login must not lead to another site."""
    form = hidden_fields(bank.client.get("/login", query_string={"next": elsewhere}).text)
    data = {**form, "next": elsewhere, "login": "bia", "pin": "1234"}

    assert local_path(elsewhere) == "/"
    assert bank.client.post("/login", data=data).location == "/"


def test_an_expired_session_keeps_the_code(bank, service):
    """After half an hour the payer logs in and is back at the review; nothing was paid."""
    code, txid = service.charge(bank.clock.now())
    bank.log_in()
    form = hidden_fields(bank.client.get("/pay", query_string={"code": code}).text)
    bank.client.delete_cookie("bank_session")

    redirect = bank.client.post("/pay", data={**form, "pin": "1234"})

    assert urlsplit(redirect.location).path == "/login"
    logged_in = bank.client.get(redirect.location).text
    data = {**hidden_fields(logged_in), "login": "bia", "pin": "1234"}
    assert txid in bank.client.get(bank.client.post("/login", data=data).location).text
    assert bank.balance() == 482_350
