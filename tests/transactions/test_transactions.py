"""`/transactions/`: create, read, list, cancel and refund the merchant's own transactions."""

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


def test_a_transaction_is_a_payment_with_other_field_names(alice, client):
    """Both APIs read the same row."""
    transaction = alice.create(amount=100.5, description="Two cakes", order_id="o-1")

    assert set(transaction) == FIELDS | {"refund"}
    assert (transaction["amount"], transaction["amount_centavos"]) == (100.5, 10050)
    assert transaction["status"] == transaction["state"] == "created"
    assert (transaction["description"], transaction["order_id"]) == ("Two cakes", "o-1")
    assert transaction["id"] == transaction["transaction_id"] == transaction["code"]
    headers = {"Accept": "application/json"}
    payment = client.get(f"/payments/pix/{transaction['id']}", headers=headers).get_json()[
        "payment"
    ]
    assert (payment["value"], payment["status"]) == (100.5, "pending")
    for name in ("pix_code", "payment_url", "qr_code_url", "watch_code"):
        assert payment[name] == transaction[name], name
    assert client.get(transaction["qr_code_url"]).mimetype == "image/png"


def test_the_answer_has_the_location_of_the_new_transaction(alice):
    """Some clients follow `Location` and ignore the body."""
    answer = alice.call("POST", "/transactions/", json={"amount": 1})
    assert answer.headers["Location"].endswith(f"/transactions/{answer.get_json()['id']}")
    assert alice.call("GET", answer.headers["Location"]).get_json()["amount"] == 1.0


@pytest.mark.parametrize("amount", [0.01, "0.01", 100, "100.5", 9999999999.99, "9999999999.99"])
def test_amounts_may_be_numbers_or_texts(alice, amount):
    """The smallest and the largest amount are accepted."""
    transaction = alice.create(amount=amount)
    assert transaction["amount_centavos"] == round(float(amount) * 100)


@pytest.mark.parametrize(
    "amount",
    [0, "0.00", -1, 100.001, "100.001", "1e400", 10000000000, "1,50", "", " 1", True, None, [], {}],
)
def test_an_invalid_amount_gets_an_error_for_its_field(alice, amount):
    """The error names `amount`, not the `value` of the payments API."""
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
def test_an_invalid_body_is_a_400(alice, body, code):
    """No body may cause a 500."""
    answer = alice.call(
        "POST", "/transactions/", data=body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.get_json()["code"]) == (400, code)
    assert alice.list_page()["data"] == []


def test_a_trailing_slash_makes_no_difference(alice):
    """A redirect would lose the body of a POST, and many clients do not follow it."""
    for path in ("/transactions", "/transactions/"):
        creation = alice.call("POST", path, json={"amount": 1})
        assert creation.status_code == 201, path
        assert alice.call("GET", path).status_code == 200, path
        transaction_path = f"/transactions/{creation.get_json()['id']}"
        for address in (transaction_path, f"{transaction_path}/"):
            assert alice.call("GET", address).status_code == 200, address
            assert alice.call("PUT", address, json={"status": "completed"}).status_code == 409


def test_every_route_requires_credentials(app, client):
    """In development too, there is no default merchant for transactions."""
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


def test_a_payer_cannot_use_the_transactions_api(bob):
    """The account's role decides."""
    assert bob.call("POST", "/transactions/", json={"amount": 1}).status_code == 403
    assert bob.call("GET", "/transactions/").status_code == 403
    assert bob.call("POST", "/api/start_payment", json={"amount": 1}).status_code == 403


def test_a_strangers_transaction_is_not_found(alice, charlie):
    """Charlie gets the same answer as for a transaction that does not exist."""
    transaction = alice.create()
    for identity in (
        transaction["id"],
        ABSENT,
        "x",
        transaction["id"].upper(),
        f"{transaction['id']}0",
        "%00",
    ):
        read = charlie.call("GET", f"/transactions/{identity}")
        changed = charlie.call("PUT", f"/transactions/{identity}", json={"status": "cancelled"})
        for answer in (read, changed):
            assert (answer.status_code, answer.get_json()["code"]) == (404, "payment-not-found")
    assert charlie.list_page()["data"] == []
    assert alice.read(transaction)["status"] == "created"


def test_a_merchant_may_cancel_an_unpaid_transaction(alice, app):
    """A second cancellation is refused."""
    transaction = alice.create()
    answer = alice.set_status(transaction, "cancelled")
    assert answer.status_code == 200
    assert (answer.get_json()["status"], answer.get_json()["payment_status"]) == (
        "failed",
        "cancelled",
    )
    assert alice.read(transaction)["state"] == "failed"
    assert "payment.cancelled" in actions(app, "alice")
    again = alice.set_status(transaction, "cancelled")
    assert (again.status_code, again.get_json()["code"]) == (409, "not-cancellable")


@pytest.mark.parametrize("status", ["completed", "confirmed", "created", "pending", "failed",
                                     "expired", "nonsense", "", "paid", "Cancelled",
                                     "canceled", "x" * 1000])  # fmt: skip
def test_a_merchant_cannot_set_another_status(alice, bank, status):
    """Only money completes a transaction."""
    unpaid, paid = alice.create(), alice.create()
    assert bank.confirm(as_payment(paid)).status_code == 200
    for transaction, state in ((unpaid, "created"), (paid, "completed")):
        answer = alice.set_status(transaction, status)
        assert (answer.status_code, answer.get_json()["code"]) == (409, "status-not-settable")
        assert state in answer.get_json()["detail"]
        assert alice.read(transaction)["status"] == state


@pytest.mark.parametrize("status", [None, 1, True, [], {}])
def test_a_status_that_is_no_text_is_a_400(alice, status):
    """Any text is a status that cannot be set (409); anything else is no status."""
    transaction = alice.create()
    answer = alice.set_status(transaction, status)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.get_json()["errors"]] == ["status"]
    assert alice.read(transaction)["status"] == "created"


def test_a_paid_transaction_cannot_be_cancelled_nor_an_unpaid_one_refunded(alice, bank):
    """Each change is allowed in one state only."""
    unpaid, paid = alice.create(), alice.create()
    bank.confirm(as_payment(paid))
    cancelled = alice.set_status(paid, "cancelled")
    assert (cancelled.status_code, cancelled.get_json()["code"]) == (409, "not-cancellable")
    refund = alice.set_status(unpaid, "refunded")
    assert (refund.status_code, refund.get_json()["code"]) == (409, "not-refundable")


def test_after_the_deadline_a_transaction_has_failed(alice, clock):
    """The clock decides, before the sweep writes the status; both sides of the deadline."""
    transaction = alice.create()
    clock.advance(seconds=1800)
    assert alice.read(transaction)["state"] == "created"
    clock.advance(microseconds=1)
    assert (alice.read(transaction)["state"], alice.read(transaction)["payment_status"]) == (
        "failed",
        "expired",
    )
    assert alice.set_status(transaction, "cancelled").status_code == 409
    assert [item["id"] for item in alice.list_page("?state=failed")["data"]] == [transaction["id"]]
    assert alice.list_page("?state=created")["data"] == []


def test_lists_are_filtered_by_state_and_paged(alice, charlie, bank):
    """Both paths return the same list, and each merchant sees only its own."""
    transactions = [alice.create() for _ in range(7)]
    charlie.create()
    bank.confirm(as_payment(transactions[1]))
    alice.set_status(transactions[3], "cancelled")
    for path in ("/transactions/", "/api/transactions"):
        ids, after = [], ""
        while True:
            page = alice.list_page(f"?limit=3{after}", path)
            ids += [item["id"] for item in page["data"]]
            assert set(page["data"][0]) == FIELDS
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert ids == [transaction["id"] for transaction in reversed(transactions)]
        of_state = {
            state: [item["id"] for item in alice.list_page(f"?state={state}", path)["data"]]
            for state in ("created", "completed", "failed")
        }
        assert of_state["completed"] == [transactions[1]["id"]]
        assert of_state["failed"] == [transactions[3]["id"]]
        assert len(of_state["created"]) == 5


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=101", "?limit=x", "?after=x", f"?after={ABSENT}", "?state=paid",
              "?skip=1", "?after=%00"],
)  # fmt: skip
def test_an_invalid_query_is_a_400(alice, query):
    """An unknown cursor or field is invalid too."""
    assert alice.call("GET", f"/transactions/{query}").status_code == 400


def test_another_merchants_cursor_is_a_400(alice, charlie):
    """Otherwise the answer would reveal that the payment exists."""
    transaction = charlie.create()
    assert alice.call("GET", f"/transactions/?after={transaction['id']}").status_code == 400


def test_an_idempotency_key_creates_one_transaction(alice, charlie):
    """A client that repeats a request after a broken connection must not create two payments."""
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
    assert len(alice.list_page()["data"]) == 1


def test_an_order_has_one_live_transaction(alice, charlie, clock):
    """After the first one expires a new one is possible; two shops may use the same number."""
    alice.create(order_id="7")
    second = alice.call("POST", "/transactions/", json={"amount": 1, "order_id": "7"})
    assert (second.status_code, second.get_json()["code"]) == (409, "order-already-has-payment")
    charlie.create(order_id="7")
    clock.advance(seconds=1801)
    alice.create(order_id="7")


def test_an_api_key_allows_what_its_scopes_say(alice):
    """A key that may create and cancel may not refund."""
    person: Person = alice.person
    reads = bearer(person.key("payments:read")["key"])
    writes = bearer(person.key("payments:read", "payments:write")["key"])
    transaction = alice.create()
    path = f"/transactions/{transaction['id']}"
    assert alice.call("GET", path, headers=reads).status_code == 200
    assert alice.call("PUT", path, headers=reads, json={"status": "cancelled"}).status_code == 403
    refund = alice.call("PUT", path, headers=writes, json={"status": "refunded"})
    assert refund.status_code == 403
    body = {"json": {"amount": 1}}
    assert alice.call("POST", "/transactions/", headers=reads, **body).status_code == 403
    assert alice.call("POST", "/transactions/", headers=writes, **body).status_code == 201
    assert alice.call("PUT", path, headers=writes, json={"status": "cancelled"}).status_code == 200


def test_a_browser_needs_its_csrf_token(alice):
    """Mallory's page can send a form with Alice's cookie, but cannot read the token."""
    browser = alice.person.enter()
    body = {"amount": 1}
    assert browser.post("/api/start_payment", json=body).get_json()["code"] == "csrf-failed"
    answer = browser.post("/api/start_payment", json=body, headers=alice.person.with_csrf())
    assert answer.status_code == 201
    path = f"/transactions/{answer.get_json()['id']}"
    assert browser.put(path, json={"status": "cancelled"}).status_code == 403
    assert browser.get(path).get_json()["status"] == "created"
