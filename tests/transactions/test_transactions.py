"""`/transactions/`: the caller's own, created, read, cancelled and given back; nothing by hand."""

from __future__ import annotations

import pytest

from tests.accounts.people import Person, actions, bearer
from tests.transactions.merchant import ABSENT, as_payment

FIELDS = {
    "id", "transaction_id", "code", "amount", "amount_centavos", "currency", "status", "state",
    "payment_status", "description", "order_id", "created_at", "expires_at", "completed_at",
    "refunded_amount", "pix_code", "payment_url", "pay_url", "qr_code_url", "watch_code",
    "watch_url", "sequence",
}  # fmt: skip


def test_a_transaction_is_a_payment_in_other_words(alice, client):
    """One row, two names: whatever is done to the one is seen on the other."""
    made = alice.create(amount=100.5, description="Two cakes", order_id="o-1")

    assert set(made) == FIELDS | {"refund"}
    assert (made["amount"], made["amount_centavos"]) == (100.5, 10050)
    assert made["status"] == made["state"] == "created"
    assert (made["description"], made["order_id"]) == ("Two cakes", "o-1")
    assert made["id"] == made["transaction_id"] == made["code"]
    asked = {"Accept": "application/json"}
    payment = client.get(f"/payments/pix/{made['id']}", headers=asked).get_json()["payment"]
    assert (payment["value"], payment["status"]) == (100.5, "pending")
    for name in ("pix_code", "payment_url", "qr_code_url", "watch_code"):
        assert payment[name] == made[name], name
    assert client.get(made["qr_code_url"]).mimetype == "image/png"


def test_creating_says_where_the_transaction_is(alice):
    """`Location` is followed by clients that never look into the body."""
    answer = alice.call("POST", "/transactions/", json={"amount": 1})
    assert answer.headers["Location"].endswith(f"/transactions/{answer.get_json()['id']}")
    assert alice.call("GET", answer.headers["Location"]).get_json()["amount"] == 1.0


@pytest.mark.parametrize("amount", [0.01, "0.01", 100, "100.5", 9999999999.99, "9999999999.99"])
def test_amounts_are_read_as_values_are(alice, amount):
    """The smallest and the largest, as numbers and as text."""
    made = alice.create(amount=amount)
    assert made["amount_centavos"] == round(float(amount) * 100)


@pytest.mark.parametrize(
    "amount",
    [0, "0.00", -1, 100.001, "100.001", "1e400", 10000000000, "1,50", "", " 1", True, None, [], {}],
)
def test_what_is_no_amount_is_refused_by_its_name(alice, amount):
    """A client learns which field is wrong, in its own word for it."""
    answer = alice.call("POST", "/transactions/", json={"amount": amount})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.get_json()["errors"]] == ["amount"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed-json"),
        (b"{", "malformed-json"),
        (b"[]", "malformed-json"),
        (b'{"amount": NaN}', "malformed-json"),
        (b'{"amount": 1, "amount": 2}', "malformed-json"),
        (b'{"amount": 1, "description": "\\u0000"}', "malformed-json"),
        (b'{"amount": 1, "description": "\\ud800"}', "malformed-json"),
        (b"\xff\xfe", "malformed-json"),
        (b"[" * 5000, "malformed-json"),
        (b"{}", "invalid-request"),
        (b'{"amount": 1, "status": "completed"}', "invalid-request"),
        (b'{"amount": 1, "description": 7}', "invalid-request"),
        (b'{"amount": 1, "order_id": ""}', "invalid-request"),
    ],
)
def test_garbage_is_a_clear_400(alice, body, code):
    """Nothing a client sends is our fault."""
    answer = alice.call(
        "POST", "/transactions/", data=body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.get_json()["code"]) == (400, code)
    assert alice.listed()["data"] == []


def test_a_slash_at_the_end_makes_no_difference(alice):
    """A redirect would lose the body of a POST, and many clients follow none."""
    for path in ("/transactions", "/transactions/"):
        made = alice.call("POST", path, json={"amount": 1})
        assert made.status_code == 201, path
        assert alice.call("GET", path).status_code == 200, path
        own = f"/transactions/{made.get_json()['id']}"
        for address in (own, f"{own}/"):
            assert alice.call("GET", address).status_code == 200, address
            assert alice.call("PUT", address, json={"status": "completed"}).status_code == 409


def test_without_credentials_nobody_is_anybody(app, client):
    """In development too: whoever speaks of transactions has signed in."""
    for method, path in (
        ("POST", "/transactions/"),
        ("GET", "/transactions/"),
        ("GET", f"/transactions/{ABSENT}"),
        ("PUT", f"/transactions/{ABSENT}"),
        ("POST", "/api/start_payment"),
        ("GET", "/api/transactions"),
    ):
        body = {"status": "cancelled"} if method == "PUT" else {"amount": 1}
        options = {} if method == "GET" else {"json": body}
        answer = client.open(path, method=method, **options)
        assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized"), path
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_payer_sells_nothing(bob):
    """The role decides, not the password."""
    assert bob.call("POST", "/transactions/", json={"amount": 1}).status_code == 403
    assert bob.call("GET", "/transactions/").status_code == 403
    assert bob.call("POST", "/api/start_payment", json={"amount": 1}).status_code == 403


def test_a_strangers_transaction_is_not_found(alice, charlie):
    """Whose it is, is nobody else's business: the same answer as for one that does not exist."""
    made = alice.create()
    for identity in (made["id"], ABSENT, "x", made["id"].upper(), f"{made['id']}0", "%00"):
        read = charlie.call("GET", f"/transactions/{identity}")
        changed = charlie.call("PUT", f"/transactions/{identity}", json={"status": "cancelled"})
        for answer in (read, changed):
            assert (answer.status_code, answer.get_json()["code"]) == (404, "payment-not-found")
    assert charlie.listed()["data"] == []
    assert alice.read(made)["status"] == "created"


def test_a_merchant_may_cancel_what_nobody_paid(alice, app):
    """The shop gave the order up."""
    made = alice.create()
    answer = alice.put(made, "cancelled")
    assert answer.status_code == 200
    assert (answer.get_json()["status"], answer.get_json()["payment_status"]) == (
        "failed",
        "cancelled",
    )
    assert alice.read(made)["state"] == "failed"
    assert "payment.cancelled" in actions(app, "alice")
    again = alice.put(made, "cancelled")
    assert (again.status_code, again.get_json()["code"]) == (409, "not-cancellable")


@pytest.mark.parametrize("written", ["completed", "confirmed", "created", "pending", "failed",
                                     "expired"])  # fmt: skip
def test_nobody_completes_a_transaction_by_hand(alice, bank, written):
    """Money alone does; whoever could write it would be paid for nothing."""
    waiting, paid = alice.create(), alice.create()
    assert bank.confirm(as_payment(paid)).status_code == 200
    for made, state in ((waiting, "created"), (paid, "completed")):
        answer = alice.put(made, written)
        assert (answer.status_code, answer.get_json()["code"]) == (409, "status-not-settable")
        assert state in answer.get_json()["detail"]
        assert alice.read(made)["status"] == state


@pytest.mark.parametrize("word", ["", "paid", "Cancelled", "canceled", None, 1, True, [], {}])
def test_an_unknown_word_is_a_400(alice, word):
    """A typing error is not a conflict."""
    made = alice.create()
    answer = alice.put(made, word)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.get_json()["errors"]] == ["status"]
    assert alice.read(made)["status"] == "created"


def test_what_was_paid_cannot_be_cancelled_and_what_was_not_cannot_be_given_back(alice, bank):
    """Each way leaves from one state alone."""
    waiting, paid = alice.create(), alice.create()
    bank.confirm(as_payment(paid))
    cancelled = alice.put(paid, "cancelled")
    assert (cancelled.status_code, cancelled.get_json()["code"]) == (409, "not-cancellable")
    given_back = alice.put(waiting, "refunded")
    assert (given_back.status_code, given_back.get_json()["code"]) == (409, "not-refundable")


def test_after_the_deadline_a_transaction_has_failed(alice, clock):
    """By the clock, before the sweep has written anything down; on both sides of the edge."""
    made = alice.create()
    clock.advance(seconds=1800)
    assert alice.read(made)["state"] == "created"
    clock.advance(microseconds=1)
    assert (alice.read(made)["state"], alice.read(made)["payment_status"]) == ("failed", "expired")
    assert alice.put(made, "cancelled").status_code == 409
    assert [one["id"] for one in alice.listed("?state=failed")["data"]] == [made["id"]]
    assert alice.listed("?state=created")["data"] == []


def test_lists_are_narrowed_by_state_and_read_page_by_page(alice, charlie, bank):
    """Both addresses give the same list, each merchant its own."""
    made = [alice.create() for _ in range(7)]
    charlie.create()
    bank.confirm(as_payment(made[1]))
    alice.put(made[3], "cancelled")
    for path in ("/transactions/", "/api/transactions"):
        seen, after = [], ""
        while True:
            page = alice.listed(f"?limit=3{after}", path)
            seen += [one["id"] for one in page["data"]]
            assert set(page["data"][0]) == FIELDS
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert seen == [one["id"] for one in reversed(made)]
        of_state = {
            state: [one["id"] for one in alice.listed(f"?state={state}", path)["data"]]
            for state in ("created", "completed", "failed")
        }
        assert of_state["completed"] == [made[1]["id"]]
        assert of_state["failed"] == [made[3]["id"]]
        assert len(of_state["created"]) == 5


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=101", "?limit=x", "?after=x", f"?after={ABSENT}", "?state=paid",
              "?skip=1", "?after=%00"],
)  # fmt: skip
def test_a_list_that_cannot_be_is_a_400(alice, query):
    """Also another merchant's cursor, which is none here."""
    assert alice.call("GET", f"/transactions/{query}").status_code == 400


def test_anothers_cursor_is_no_cursor(alice, charlie):
    """It would tell whether the payment exists."""
    made = charlie.create()
    assert alice.call("GET", f"/transactions/?after={made['id']}").status_code == 400


def test_one_key_creates_one_transaction(alice, charlie):
    """A client that repeats a request after a broken connection must not ask twice for money."""
    key = {"Idempotency-Key": "order-77"}
    body = {"amount": 5, "description": "x"}
    first = alice.call("POST", "/transactions/", headers=key, json=body)
    again = alice.call("POST", "/transactions", headers=key, json=body)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.get_json() == again.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    other = alice.call("POST", "/transactions/", headers=key, json={**body, "amount": 6})
    assert (other.status_code, other.get_json()["code"]) == (409, "idempotency-conflict")
    assert [error["field"] for error in other.get_json()["errors"]] == ["amount"]
    elsewhere = alice.call("POST", "/api/start_payment", headers=key, json=body)
    assert elsewhere.status_code == 409
    assert charlie.call("POST", "/transactions/", headers=key, json=body).status_code == 201
    assert len(alice.listed()["data"]) == 1


def test_an_order_is_asked_for_once(alice, charlie, clock):
    """And again once the first payment expired; two shops may have the same number."""
    alice.create(order_id="7")
    second = alice.call("POST", "/transactions/", json={"amount": 1, "order_id": "7"})
    assert (second.status_code, second.get_json()["code"]) == (409, "order-already-has-payment")
    charlie.create(order_id="7")
    clock.advance(seconds=1801)
    alice.create(order_id="7")


def test_a_key_opens_what_its_scopes_say(alice):
    """An API key for a till reads; one that creates does not give back."""
    person: Person = alice.person
    reads = bearer(person.key("payments:read")["key"])
    writes = bearer(person.key("payments:read", "payments:write")["key"])
    made = alice.create()
    path = f"/transactions/{made['id']}"
    assert alice.call("GET", path, headers=reads).status_code == 200
    assert alice.call("PUT", path, headers=reads, json={"status": "cancelled"}).status_code == 403
    refund = alice.call("PUT", path, headers=writes, json={"status": "refunded"})
    assert refund.status_code == 403
    body = {"json": {"amount": 1}}
    assert alice.call("POST", "/transactions/", headers=reads, **body).status_code == 403
    assert alice.call("POST", "/transactions/", headers=writes, **body).status_code == 201
    assert alice.call("PUT", path, headers=writes, json={"status": "cancelled"}).status_code == 200


def test_a_browser_needs_its_csrf_token(alice):
    """A page of Mallory's may send a form with Alice's cookie; it cannot read the token."""
    browser = alice.person.enter()
    body = {"amount": 1}
    assert browser.post("/api/start_payment", json=body).get_json()["code"] == "csrf-failed"
    told = browser.post("/api/start_payment", json=body, headers=alice.person.with_csrf())
    assert told.status_code == 201
    path = f"/transactions/{told.get_json()['id']}"
    assert browser.put(path, json={"status": "cancelled"}).status_code == 403
    assert browser.get(path).get_json()["status"] == "created"
