"""Idempotency-Key: a request repeated after a lost answer creates nothing twice."""

from __future__ import annotations

import pytest

from tests.http.checks import client_of, fields, problem, rows
from tests.support.service import DEMO_PASSWORD
from web.idempotency import STRANGERS_KEYS_MAX


def create(client, key, **body):
    """Create under a key."""
    headers = {"Idempotency-Key": key}
    return client.post("/payments/pix", json={"value": 10, **body}, headers=headers)


def test_the_same_request_gets_its_first_answer_byte_for_byte(client, app):
    """A shop cannot know whether the first answer was lost, so a repetition must be safe."""
    first = create(client, "k1", order_id="A", description="Pão 🍞")
    before = rows(app)
    second = create(client, "k1", order_id="A", description="Pão 🍞")
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.data == first.data
    assert second.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert rows(app) == before


def test_the_first_answer_stays_after_the_payment_was_confirmed(client, bank, clock):
    """A repetition gets the first answer, not the present state."""
    first = create(client, "k1", order_id="A")
    assert bank.confirm(first.json["payment"]).status_code == 200
    clock.advance(hours=3)
    second = create(client, "k1", order_id="A")
    assert (second.status_code, second.data) == (201, first.data)


def test_the_same_value_written_otherwise_is_the_same_request(client):
    """100 equals "100.00", and an absent field equals its default."""
    first = create(client, "k1", value=100)
    assert create(client, "k1", value="100.00").data == first.data
    assert create(client, "k1", value=100, metadata={}, order_id=None).data == first.data


def test_another_body_is_a_conflict_that_names_what_differs(client, app):
    """A key used twice by mistake must not hide that the second order was never made."""
    create(client, "k1", order_id="A", description="x")
    before = rows(app)
    answer = create(client, "k1", order_id="B", value=11, description="x")
    refusal = problem(answer, 409, "idempotency-conflict")
    assert sorted(fields(refusal)) == ["order_id", "value"]
    assert "order_id" in refusal["detail"]
    assert rows(app) == before


def test_one_key_for_two_operations_is_a_conflict(client):
    """A key belongs to one request."""
    create(client, "k1")
    body, headers = {"order_id": "A", "amount": 10}, {"Idempotency-Key": "k1"}
    answer = client.post("/api/payment/create-session", json=body, headers=headers)
    problem(answer, 409, "idempotency-conflict")


@pytest.mark.parametrize("length", [1, 255])
def test_a_key_of_1_to_255_characters_is_accepted(client, length):
    """Both limits are documented."""
    assert create(client, "k" * length).status_code == 201
    assert create(client, "k" * length).headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("key", ["", "k" * 256, "k\tk", "k\x7f", "clé"])
def test_any_other_key_is_refused(client, app, key):
    """Cut to fit, two keys could become one."""
    before = rows(app)
    refusal = problem(create(client, key.encode().decode("latin-1")), 400, "invalid-request")
    assert fields(refusal) == ["Idempotency-Key"]
    assert rows(app) == before


def test_keys_that_differ_in_case_or_trailing_characters_are_different(client):
    """If such keys counted as equal, an order would get the payment of another."""
    ids = {create(client, key).json["payment"]["id"] for key in ("key", "KEY", "key.", "ke")}
    assert len(ids) == 4


def test_a_key_is_its_merchants_own(client, charlie):
    """Charlie using Alice's key learns nothing and blocks nothing."""
    mine = create(client, "k1", order_id="A")
    his = create(charlie, "k1", order_id="Z")
    assert his.status_code == 201
    assert his.json["payment"]["id"] != mine.json["payment"]["id"]
    assert create(client, "k1", order_id="A").data == mine.data


def test_a_refused_request_leaves_its_key_free(client):
    """The developer fixes the body and sends it again with the same key."""
    problem(create(client, "k1", value=-1), 400)
    assert create(client, "k1", value=1).status_code == 201


def test_a_conflicting_order_leaves_its_key_free(client):
    """Only answers to successful requests are stored."""
    create(client, "first", order_id="A")
    problem(create(client, "k1", order_id="A"), 409, "order-already-has-payment")
    assert create(client, "k1", order_id="B").status_code == 201


def test_a_renewal_repeated_gets_its_first_answer_also_once_it_was_paid(client, bank, clock):
    """The page's button pressed on a bad line, and the payment made meanwhile."""
    old = create(client, "k0", expires_in=10).json["payment"]
    clock.advance(seconds=11)
    url, headers = f"/payments/pix/{old['id']}/renew", {"Idempotency-Key": "r1"}
    first = client.post(url, headers=headers)
    assert first.status_code == 201
    assert bank.confirm(first.json["payment"]).status_code == 200
    second = client.post(url, headers=headers)
    assert (second.status_code, second.data) == (201, first.data)
    assert second.headers["Idempotent-Replayed"] == "true"


@pytest.fixture
def signed_in(app, client):
    """The demo merchant with an access token of its own."""
    body = {"username": "demo", "password": DEMO_PASSWORD}
    return client_of(app, client.post("/token", data=body).json["access_token"])


def stranger(app, address):
    """A client without credentials at this address."""
    charlie = app.test_client()
    charlie.environ_base["REMOTE_ADDR"] = address
    return charlie


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/payments/pix", {"value": 1}),
        ("/api/payment/create-session", {"amount": 1, "order_id": "Z"}),
    ],
)
def test_a_stranger_takes_no_key_of_the_merchant(app, signed_in, path, body):
    """In development anybody may create for the demo merchant, but not block its orders' keys."""
    headers = {"Idempotency-Key": "order-1042"}
    assert stranger(app, "203.0.113.9").post(path, json=body, headers=headers).status_code == 201

    answer = create(signed_in, "order-1042", order_id="A")

    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers
    assert create(signed_in, "order-1042", order_id="A").data == answer.data


def test_strangers_of_two_networks_have_keys_of_their_own(app, make_payment, clock):
    """Bob guesses the key that Charlie chose, and gets an answer to a request of his own."""
    payment = make_payment(expires_in=60)
    clock.advance(seconds=61)
    url, headers = f"/payments/pix/{payment['id']}/renew", {"Idempotency-Key": "1"}
    bob, charlie = stranger(app, "203.0.113.8"), stranger(app, "203.0.113.9")
    assert charlie.post(url, headers=headers).status_code == 201
    assert "Idempotent-Replayed" not in bob.post(url, headers=headers).headers
    assert charlie.post(url, headers=headers).headers["Idempotent-Replayed"] == "true"
    assert bob.post(url, headers=headers).headers["Idempotent-Replayed"] == "true"


def test_strangers_store_a_bounded_number_of_keys(app, make_payment, clock):
    """The renewal is the same without a stored answer, so further keys are not stored."""
    payment = make_payment(expires_in=60)
    clock.advance(seconds=61)
    url, charlie = f"/payments/pix/{payment['id']}/renew", stranger(app, "203.0.113.9")
    answers = [
        charlie.post(url, headers={"Idempotency-Key": str(number)})
        for number in range(STRANGERS_KEYS_MAX + 2)
    ]
    assert {answer.json["payment"]["id"] for answer in answers} == {
        answers[0].json["payment"]["id"]
    }
    assert rows(app)["idempotent_requests"] == STRANGERS_KEYS_MAX
