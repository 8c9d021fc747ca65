"""Idempotency-Key: a request repeated after a lost answer creates nothing twice."""

from __future__ import annotations

import pytest

from tests.http.checks import fields, problem, rows


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


def test_one_key_for_two_operations_is_a_conflict(client, clock):
    """A key belongs to one request."""
    payment = create(client, "k1", expires_in=10).json["payment"]
    clock.advance(seconds=11)
    answer = client.post(f"/payments/pix/{payment['id']}/renew", headers={"Idempotency-Key": "k1"})
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
