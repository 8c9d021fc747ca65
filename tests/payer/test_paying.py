"""Paying from a wallet: the bank takes the money, and its notice confirms the payment."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from bank.money.wallets import LIMIT_CENTAVOS, OPENING_CENTAVOS
from tests.db.crowd import at_once
from tests.payer.conftest import PASSWORD, sign_up


def problem(answer):
    """Status and code of a refusal."""
    return answer.status_code, answer.get_json(force=True)["code"]


def test_a_payer_pays_with_the_pin_and_the_payment_is_confirmed(here, bob):
    """From the sign-up to the receipt, without the bank's own pages."""
    payment = here.create()
    answer = bob.pay(payment)
    assert answer.status_code == 200, answer.text
    result = answer.get_json()
    assert (result["state"], result["code"], result["note"]) == ("completed", payment["id"], None)
    assert result["balance_centavos"] == OPENING_CENTAVOS - 5490
    assert result["balance"] == (OPENING_CENTAVOS - 5490) / 100
    assert result["payment"]["status"] == "confirmed"
    assert result["payment"]["end_to_end_id"] == result["end_to_end_id"]
    assert here.payment(payment)["status"] == "confirmed"
    assert bob.wallet().get_json()["balance_centavos"] == OPENING_CENTAVOS - 5490
    receipt = here.tables.receipts(payment["id"])[0]
    assert (receipt.payer_name, receipt.end_to_end_id) == ("Bob de Souza", result["end_to_end_id"])
    assert (here.audit().faults, here.audit().total_centavos) == ((), 0)


def test_a_client_of_the_described_system_works(here, bob):
    """Its login sets the cookie `access_token`; a bearer token needs no CSRF token."""
    payment = here.create()
    shopper = here.client()
    answer = shopper.post("/api/login", data={"username": "bob", "password": PASSWORD})
    assert answer.status_code == 200
    assert shopper.get_cookie("access_token") is not None
    token = answer.get_json()["access_token"]
    paid = here.client().post(
        f"/api/pay/{payment['id']}",
        data={"card": bob.card, "pin": bob.pin},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert (paid.status_code, paid.get_json()["state"]) == (200, "completed")
    watch_answer = here.client().get(f"/watch/{payment['watch_code']}")
    if watch_answer.status_code == 200:
        assert watch_answer.get_json()["state"] == "completed"


def test_a_card_number_may_have_spaces(here, bob):
    """As printed on cards, in groups of four."""
    spaced_number = " ".join(bob.card[at : at + 4] for at in range(0, 16, 4))
    assert bob.pay(here.create(), card=spaced_number).status_code == 200


def test_another_payers_card_is_refused_and_loses_no_pin_attempt(here, bob, charlie):
    """Card numbers are not secret; payers can only use their own card."""
    payment = here.create()
    answer = bob.pay(payment, card=charlie.card, pin=charlie.pin)
    assert problem(answer) == (403, "card-refused")
    unknown = bob.pay(payment, card="9990011111111111")
    assert problem(unknown) == (403, "card-refused")
    assert unknown.get_json(force=True)["detail"] == answer.get_json(force=True)["detail"]
    assert here.payment(payment)["status"] == "pending"
    wallets = [person.wallet().get_json() for person in (bob, charlie)]
    assert [wallet["balance_centavos"] for wallet in wallets] == [OPENING_CENTAVOS] * 2
    assert [wallet["pins_left"] for wallet in wallets] == [5, 5]


def test_five_wrong_pins_in_a_row_lock_the_card(here, bob, charlie):
    """After the fifth, the right PIN is refused as well; other cards keep working."""
    payment = here.create()
    wrong = "0000" if bob.pin != "0000" else "0001"
    for attempts in (4, 3, 2, 1):
        assert problem(bob.pay(payment, pin=wrong)) == (403, "pin-refused")
        assert bob.wallet().get_json()["pins_left"] == attempts
    assert problem(bob.pay(payment, pin=wrong)) == (403, "pin-locked")
    assert problem(bob.pay(payment)) == (403, "pin-locked")
    assert here.payment(payment)["status"] == "pending"
    assert bob.wallet().get_json()["balance_centavos"] == OPENING_CENTAVOS
    assert charlie.pay(payment).status_code == 200


def test_a_right_pin_resets_the_count_of_wrong_ones(here, bob):
    """Only wrong PINs in a row lock a card."""
    wrong = "0000" if bob.pin != "0000" else "0001"
    payments = [here.create(), here.create()]
    for payment in payments:
        for _ in range(4):
            assert problem(bob.pay(payment, pin=wrong)) == (403, "pin-refused")
        assert bob.pay(payment).status_code == 200


def test_a_balance_pays_its_last_centavo_and_no_more(here, bob):
    """One centavo more is refused."""
    halves = [here.create(value="500.00"), here.create(value="499.99")]
    for payment in halves:
        assert bob.pay(payment).status_code == 200
    over, last = here.create(value="0.02"), here.create(value="0.01")
    assert problem(bob.pay(over)) == (402, "insufficient-funds")
    assert here.payment(over)["status"] == "pending"
    answer = bob.pay(last)
    assert (answer.status_code, answer.get_json()["balance_centavos"]) == (200, 0)


def test_a_card_pays_up_to_its_limit_at_once(here, bob):
    """`over-limit` is not `insufficient-funds`: the balance would be enough."""
    limit = LIMIT_CENTAVOS / 100
    over = here.create(value=limit + 0.01)
    assert problem(bob.pay(over)) == (403, "over-limit")
    assert here.payment(over)["status"] == "pending"
    assert bob.pay(here.create(value=limit)).status_code == 200


def test_a_payment_that_is_not_pending_is_refused_and_costs_nothing(here, bob):
    """Paid, expired and cancelled each have a code, with 409."""
    paid, expired, cancelled = here.paid(), here.create(expires_in=10), here.create()
    here.client().post(f"/payments/pix/{cancelled['id']}/cancel")
    here.clock.advance(seconds=11)
    assert problem(bob.pay(paid)) == (409, "already-paid")
    assert problem(bob.pay(expired)) == (409, "payment-expired")
    assert problem(bob.pay(cancelled)) == (409, "payment-cancelled")
    assert bob.wallet().get_json()["balance_centavos"] == OPENING_CENTAVOS


def test_a_payment_that_does_not_exist_is_not_found(here, bob):
    """Also if the code is not a valid id."""
    for code in ("0" * 32, "x", "1", "..%2f..", "%00", "a" * 4000):
        answer = bob.client.post(f"/api/pay/{code}", json={"pin": bob.pin}, headers=bob.headers())
        assert answer.status_code == 404, code


def test_only_a_signed_in_payer_pays(here, bob):
    """401 without credentials, 403 for a merchant."""
    payment = here.create()
    alice = sign_up(here, "alice", "merchant")
    path, body = f"/api/pay/{payment['id']}", {"pin": bob.pin}
    assert problem(here.client().post(path, json=body)) == (401, "unauthorized")
    assert problem(alice.client.post(path, json=body, headers=alice.headers())) == (
        403,
        "forbidden",
    )
    key = alice.client.post("/api/keys", json={"label": "x"}, headers=alice.headers())
    bearer = {"Authorization": f"Bearer {key.get_json()['key']}"}
    assert problem(here.client().post(path, json=body, headers=bearer)) == (403, "forbidden")
    assert here.client().get("/api/wallet").status_code == 401
    assert alice.client.get("/api/wallet").status_code == 403
    assert here.payment(payment)["status"] == "pending"


def test_a_cookie_alone_pays_nothing(here, bob):
    """Another site can make Bob's browser send the cookie, but does not know the token."""
    payment = here.create()
    path, body = f"/api/pay/{payment['id']}", {"pin": bob.pin}
    for options in ({"json": body}, {"data": body}):
        assert problem(bob.client.post(path, **options)) == (403, "csrf-failed")
        wrong = {"X-CSRF-TOKEN": "0" * 36}
        answer = bob.client.post(path, headers=wrong, **options)
        assert problem(answer) == (403, "csrf-failed")
    assert problem(bob.client.post("/api/wallet", json={})) == (403, "csrf-failed")
    assert here.payment(payment)["status"] == "pending"
    token = bob.headers()["X-CSRF-TOKEN"]
    by_form = bob.client.post(path, data={**body, "csrf_token": token})
    assert by_form.status_code == 200


def test_sixteen_simultaneous_requests_pay_once(anywhere):
    """Repeated clicks on a slow network must not pay twice."""
    bob = sign_up(anywhere, "bob")
    payment = anywhere.create()
    bearer = {"Authorization": f"Bearer {bob.token}"}

    def press():
        path = f"/api/pay/{payment['id']}"
        return anywhere.client().post(path, json={"pin": bob.pin}, headers=bearer)

    answers = at_once([press for _ in range(16)])
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 409}, statuses
    assert statuses[200] >= 1
    codes = {problem(answer)[1] for answer in answers if answer.status_code == 409}
    assert codes <= {"already-paid"}
    transfers = {
        answer.get_json()["end_to_end_id"] for answer in answers if answer.status_code == 200
    }
    assert len(transfers) == 1
    assert bob.wallet().get_json()["balance_centavos"] == OPENING_CENTAVOS - 5490
    assert anywhere.tables.event_names(payment["id"]).count("payment.confirmed") == 1
    assert (anywhere.audit().faults, anywhere.audit().total_centavos) == ((), 0)


@pytest.mark.parametrize(
    ("ended_by", "code"), [("paid", "already-paid"), ("cancelled", "payment-cancelled")]
)
def test_a_code_that_is_gone_is_refused_with_the_true_reason(here, bob, ended_by, code):
    """The payment ends after this request read it; the bank finds only that the code is gone."""
    payment = here.create()
    here.gate.hold("/api/wallets/payments")
    with ThreadPoolExecutor(1) as other_thread:
        pending_answer = other_thread.submit(bob.pay, payment)
        try:
            assert here.gate.reached.wait(10)
            if ended_by == "paid":
                here.pay(payment)
            else:
                here.client().post(f"/payments/pix/{payment['id']}/cancel")
        finally:
            here.gate.let_go()
        assert problem(pending_answer.result()) == (409, code)
    assert bob.wallet().get_json()["balance_centavos"] == OPENING_CENTAVOS


def test_of_two_payers_at_once_one_pays_and_the_other_gets_a_refund(anywhere):
    """The second payer gets 409 and loses nothing."""
    people = [sign_up(anywhere, login) for login in ("bob", "charlie")]
    payment = anywhere.create()
    answers = at_once([partial(person.pay, payment) for person in people])
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    loser = next(answer for answer in answers if answer.status_code == 409)
    assert problem(loser)[1] == "already-paid"
    anywhere.clock.advance(seconds=120)
    anywhere.branch.outbox.send_due()
    balances = sorted(person.wallet().get_json()["balance_centavos"] for person in people)
    assert balances == [OPENING_CENTAVOS - 5490, OPENING_CENTAVOS]
    assert (anywhere.audit().faults, anywhere.audit().total_centavos) == ((), 0)


def test_an_unreachable_bank_is_a_503_and_a_retry_pays_once(here, bob):
    """The service cannot know whether the bank took the money."""
    payment = here.create()
    here.close_bank()
    answer = bob.pay(payment)
    assert problem(answer) == (503, "bank-unavailable")
    assert "Retry-After" in answer.headers
    here.open_bank()
    assert bob.pay(payment).get_json()["balance_centavos"] == OPENING_CENTAVOS - 5490


def test_a_lost_answer_of_the_bank_is_recovered_by_a_retry(here, bob):
    """The bank took the money and the connection broke; the retry gets the same transfer."""
    payment = here.create()
    original = here.bank_app.wsgi_app
    failures: list[int] = []

    def fail_once(environ, start_response):
        if failures or not environ["PATH_INFO"].endswith("/wallets/payments"):
            return original(environ, start_response)
        failures.append(1)
        for _ in original(environ, lambda *_: lambda _: None):
            pass
        start_response("502 Bad Gateway", [("Content-Type", "text/html")])
        return [b"<h1>Bad Gateway</h1>"]

    here.bank_app.wsgi_app = fail_once
    answer = bob.pay(payment)
    assert failures == [1]
    assert (answer.status_code, answer.get_json()["state"]) == (200, "completed")
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert answer.get_json()["balance_centavos"] == OPENING_CENTAVOS - 5490


def set_scenario(here, mix):
    """Set the scenario of the bank's next payments."""
    answer = here.bank_app.test_client().put("/api/chaos", json={"mix": mix, "seed": 1})
    assert answer.status_code == 200, answer.text


def test_while_the_notice_is_on_its_way_the_answer_says_created(here, bob, monkeypatch):
    """The bank took the money, so a missing notice is not a failure."""
    monkeypatch.setattr("blueprints.payer.paying.NOTICE_SECONDS", 0.3)
    payment = here.create()
    set_scenario(here, {"late": 1})
    answer = bob.pay(payment)
    result = answer.get_json()
    assert (answer.status_code, result["state"]) == (200, "created")
    assert "on its way" in result["note"]
    assert result["payment"]["status"] == "pending"
    again = bob.pay(payment)
    assert again.get_json()["end_to_end_id"] == result["end_to_end_id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    here.clock.advance(seconds=301)
    assert here.branch.outbox.send_due() == 1
    assert here.payment(payment)["status"] == "confirmed"
    assert bob.wallet().get_json()["balance_centavos"] == OPENING_CENTAVOS - 5490


def test_refused_money_comes_back_and_can_be_paid_again(here, bob):
    """The bank sent less than the amount: the money returns, and a second attempt works."""
    payment = here.create()
    set_scenario(here, {"pay-less": 1})
    answer = bob.pay(payment)
    assert problem(answer) == (400, "amount-mismatch")
    assert "given it back" in answer.get_json(force=True)["detail"]
    assert bob.wallet().get_json()["balance_centavos"] == OPENING_CENTAVOS
    set_scenario(here, {"normal": 1})
    assert bob.pay(payment).get_json()["state"] == "completed"
    assert bob.wallet().get_json()["balance_centavos"] == OPENING_CENTAVOS - 5490
    assert (here.audit().faults, here.audit().total_centavos) == ((), 0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "pin"),
        ({"pin": ""}, "pin"),
        ({"pin": "123"}, "pin"),
        ({"pin": "1234567"}, "pin"),
        ({"pin": "12z4"}, "pin"),
        ({"pin": "١٢٣٤"}, "pin"),
        ({"pin": "1234\n"}, "pin"),
        ({"pin": 1234}, "pin"),
        ({"pin": None}, "pin"),
        ({"pin": ["1234"]}, "pin"),
        ({"pin": "1234", "card": 9990012345670018}, "card"),
        ({"pin": "1234", "card": "abcd"}, "card"),
        ({"pin": "1234", "card": ""}, "card"),
        ({"pin": "1234", "card": "9" * 40}, "card"),
        ({"pin": "1234", "value": 1}, "value"),
        ({"pin": "1234", "payer": "bia"}, "payer"),
    ],
    ids=str,
)
def test_an_invalid_body_pays_nothing_and_loses_no_pin_attempt(here, bob, body, field):
    """An impossible PIN does not count as a wrong one, and is never sent back."""
    payment = here.create()
    answer = bob.client.post(f"/api/pay/{payment['id']}", json=body, headers=bob.headers())
    assert problem(answer) == (400, "invalid-request")
    assert field in [error["field"] for error in answer.get_json(force=True)["errors"]]
    assert "12z4" not in answer.text  # no id has a z
    assert bob.wallet().get_json()["pins_left"] == 5
    assert here.payment(payment)["status"] == "pending"


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"pin": "1234", "pin": "4321"}', "application/json", 400),
        (b'{"pin": "\\u0000123"}', "application/json", 400),
        (b'{"pin": "\\ud800123"}', "application/json", 400),
        (b"pin=1234&pin=4321", "application/x-www-form-urlencoded", 400),
        (b"pin=%00123", "application/x-www-form-urlencoded", 400),
        (b"pin=1234", "text/plain", 415),
        (b"<pin>1234</pin>", "application/xml", 415),
        (b'{"pin": "' + b"1" * 70_000 + b'"}', "application/json", 413),
    ],
)
def test_hostile_bytes_pay_nothing(here, bob, data, content_type, status):
    """The answer is never a 500."""
    payment = here.create()
    path = f"/api/pay/{payment['id']}"
    bearer = {"Authorization": f"Bearer {bob.token}"}
    answer = here.client().post(path, data=data, content_type=content_type, headers=bearer)
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    assert here.payment(payment)["status"] == "pending"


def test_the_service_never_stores_or_logs_a_pin(here, bob, capfd, caplog):
    """Not in a table, a log or an error."""
    payment = here.create()
    wrong = "907315" if bob.pin != "907315" else "907316"
    refusal = bob.pay(payment, pin=wrong)
    assert problem(refusal) == (403, "pin-refused")
    assert bob.pay(payment).status_code == 200
    out, err = capfd.readouterr()
    tables = here.tables.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    rows = []
    for (table,) in tables:
        rows += here.tables.rows(f'SELECT * FROM "{table}"')  # noqa: S608 - names of our own
    values = [str(value) for row in rows for value in row]
    assert "payment.paid" in values
    output = "\n".join([refusal.text, out, err, caplog.text, *values])
    for secret in (wrong, bob.pin):
        assert not re.search(rf"(?<![0-9a-f.:]){secret}(?![0-9a-f])", output)
