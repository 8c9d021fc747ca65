"""The audit log: one row per action, in the action's transaction, without secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from accounts import audit
from accounts.sign_ins import forget_old_records
from db_models import AuditAction
from repository.database import in_unit_of_work, reading
from tests.accounts.people import PASSWORD, Person, actions, audit_rows


def test_a_day_of_an_account_can_be_read_afterwards(app, settings):
    """Sign-up, sign-ins, keys, a new password, sign-out: each has its row, in order."""
    alice = Person(app, "alice", address="192.0.2.1")
    alice.sign_up()
    alice.ask_tokens(username="alice", password="wrong")
    header = alice.bearer()
    key = alice.post("/api/keys", json={"label": "till"}, headers=header).get_json()
    client = app.test_client()
    client.delete(f"/api/keys/{key['id']}", headers=header)
    client.delete(f"/api/keys/{key['id']}", headers=header)  # again: nothing changes, no row
    body = {"current_password": PASSWORD, "new_password": "another horse battery"}
    alice.post("/users/me/password", json=body, headers=header)
    alice.post("/api/logout", headers=header)
    assert actions(app, "alice") == [
        "account.created",
        "session.refused",
        "session.started",
        "key.created",
        "key.revoked",
        "password.changed",
        "session.ended",
    ]


def test_a_row_says_who_when_from_where_and_in_which_request(app, clock):
    """An operator can answer a question about it on the telephone."""
    alice = Person(app, "alice", address="192.0.2.1")
    alice.sign_up(role="payer")
    clock.advance(seconds=5)
    answer = alice.post(
        "/token",
        data={"username": "alice", "password": "wrong"},
        headers={"X-Request-ID": "call-17"},
    )
    assert answer.status_code == 401
    creation, refusal = audit_rows(app, "alice")
    assert (creation.subject, creation.details) == ("alice", {"role": "payer"})
    assert (refusal.address, refusal.request_id) == ("192.0.2.1", "call-17")
    assert refusal.occurred_at == clock.now()
    assert (refusal.occurred_at - creation.occurred_at).total_seconds() == 5


def test_no_row_holds_a_secret(app):
    """A password typed into the login field must not be stored either."""
    alice = Person(app, "alice")
    alice.sign_up()
    alice.ask_tokens(username=PASSWORD, password="alice")
    alice.ask_tokens(username="alice", password="a wrong password")
    key = alice.key("payments:read")
    stored_text = json.dumps([[row.action, row.subject, row.details] for row in audit_rows(app)])
    for secret in (PASSWORD, "a wrong password", key["key"], "argon2"):
        assert secret not in stored_text
    assert '["session.refused", "(unknown)", {}]' in stored_text


def test_an_action_that_is_rolled_back_leaves_no_row(app, alice):
    """The row and the action are one transaction."""
    before = actions(app)
    answer = Person(app, "alice").post(
        "/users/", json={"username": "alice", "password": "another horse"}
    )
    assert answer.status_code == 409
    assert actions(app) == before


def test_a_long_subject_is_cut_and_an_unknown_account_is_none(app):
    """No subject may fail in the database because of its length."""
    with app.app_context():
        in_unit_of_work(
            lambda work: audit.record(work, None, AuditAction.SHOP_CHANGED, "x" * 500, {"grace": 5})
        )
    (row,) = [row for row in audit_rows(app) if row.action == "shop.changed"]
    assert (len(row.subject), row.account_id, row.address) == (140, None, "")


def test_rows_are_deleted_after_audit_days(app, alice, clock, settings):
    """Addresses are personal data: they are not kept longer than needed."""
    assert actions(app, "alice") == ["account.created"]
    with app.app_context():
        clock.advance(days=settings.audit_days)
        assert forget_old_records(settings) == 0
        clock.advance(seconds=1)
        assert forget_old_records(settings) == 2  # the demo merchant's too
    assert actions(app) == []


def test_the_rows_go_page_by_page_and_by_kind(app, alice):
    """The administrator's page reads the log this way."""
    for _ in range(3):
        alice.ask_tokens(username="alice", password="wrong")
    with app.app_context(), reading() as work:
        first = work.audit.page(2, action="session.refused")
        rest = work.audit.page(2, action="session.refused", after=first.next)
    entries = [*first.items, *rest.items]
    assert rest.next is None
    assert [login for _, login in entries] == ["alice"] * 3
    assert len({entry.id for entry, _ in entries}) == 3


def test_an_account_reads_its_own_rows_page_by_page_and_nobody_elses(app, alice):
    """Alice must not see what Charlie did, or tried with a wrong password."""
    charlie = Person(app, "charlie", address="192.0.2.66")
    charlie.sign_up()
    for person in (alice, charlie, alice, charlie):
        person.ask_tokens(username=person.login, password="wrong")
    with app.app_context(), reading() as work:
        own = work.accounts.by_login("alice").id
        stranger = work.audit.page(1, account_id=work.accounts.by_login("charlie").id)
        first = work.audit.page(2, account_id=own)
        rest = work.audit.page(2, account_id=own, after=first.next)
        elsewhere = work.audit.page(2, account_id=own, after=stranger.items[0][0].public_id)
    assert [entry.action for entry, _ in [*first.items, *rest.items]] == [
        "session.refused",
        "session.refused",
        "account.created",
    ]
    assert {login for _, login in [*first.items, *rest.items]} == {"alice"}
    assert (rest.next, elsewhere.items) == (None, [])


def request_by_key(alice: Person, path: str, **options: Any) -> TestResponse:
    """Ask with an API key that has all scopes of payments."""
    scopes = ("payments:read", "payments:write", "refunds:write")
    headers = {"Authorization": f"Bearer {alice.key(*scopes)['key']}"}
    return alice.post(path, headers=headers, **options)


def request_by_token(alice: Person, path: str, **options: Any) -> TestResponse:
    """Ask with an access token."""
    return alice.post(path, headers=alice.bearer(), **options)


def request_by_page(alice: Person, path: str, **options: Any) -> TestResponse:
    """Press the button in the portal."""
    path = path.replace("/payments/pix/", "/portal/payments/").replace("/refunds", "/refund")
    options.pop("json", None)
    form = {"confirmed": "1"}
    return alice.enter().post(path, data=form, headers=alice.with_csrf(), **options)


def request_by_transaction(alice: Person, path: str, **options: Any) -> TestResponse:
    """Ask by changing the status of a transaction."""
    status = "refunded" if path.endswith("/refunds") else "cancelled"
    payment_id = path.split("/")[3]
    return alice.app.test_client().put(
        f"/transactions/{payment_id}", json={"status": status}, headers=alice.bearer()
    )


INTERFACES = [request_by_key, request_by_token, request_by_page, request_by_transaction]
Ask = Callable[..., TestResponse]


@pytest.fixture
def alice(app) -> Person:
    """A merchant."""
    person = Person(app, "alice", address="192.0.2.1")
    person.sign_up()
    return person


def charge(alice: Person) -> dict[str, Any]:
    """A pending payment of this merchant."""
    answer = alice.post("/payments/pix", json={"value": 10}, headers=alice.bearer())
    payment: dict[str, Any] = answer.get_json()["payment"]
    return payment


def payment_rows(alice: Person) -> list[Any]:
    """The audit rows of the merchant's payments and refunds."""
    prefixes = ("payment.", "refund.")
    return [row for row in audit_rows(alice.app, "alice") if row.action.startswith(prefixes)]


@pytest.mark.parametrize("ask", INTERFACES)
def test_a_cancellation_leaves_one_row_through_every_interface(alice, ask: Ask):
    """The main API once wrote none, so nobody could tell whose key had cancelled."""
    payment = charge(alice)
    assert ask(alice, f"/payments/pix/{payment['id']}/cancel").status_code in (200, 303)
    (row,) = payment_rows(alice)
    assert (row.action, row.subject) == ("payment.cancelled", payment["id"])
    assert set(row.details) == ({"key", "key_name"} if ask is request_by_key else set())


@pytest.mark.parametrize("ask", INTERFACES)
def test_a_refund_leaves_one_row_through_every_interface(alice, bank, ask: Ask):
    """Refunds are what an operator is asked about first."""
    payment = charge(alice)
    assert bank.confirm(payment).status_code == 200
    answer = ask(alice, f"/payments/pix/{payment['id']}/refunds", json={})
    assert answer.status_code in (200, 201, 303), answer.text
    (row,) = payment_rows(alice)
    assert row.action == "refund.asked"
    amount = {"payment": payment["id"], "amount_centavos": 1000}
    assert {name: row.details[name] for name in amount} == amount
    assert set(row.details) - set(amount) == (
        {"key", "key_name"} if ask is request_by_key else set()
    )


def test_the_key_in_a_row_is_the_one_that_asked(alice):
    """A merchant with ten keys can find the till that sent the request."""
    key = alice.key("payments:read", "payments:write")
    headers = {"Authorization": f"Bearer {key['key']}"}
    payment = charge(alice)
    alice.post(f"/payments/pix/{payment['id']}/cancel", headers=headers)
    (row,) = payment_rows(alice)
    assert row.details == {"key": key["id"], "key_name": f"{key['label']} ({key['prefix']}…)"}


def test_a_shopper_who_renews_and_a_bank_that_confirms_leave_no_row(alice, bank, clock):
    """No account asked for it; the payment's events record it."""
    expired, paid = charge(alice), charge(alice)
    assert bank.confirm(paid).status_code == 200
    clock.advance(hours=1)
    renewed = alice.app.test_client().post(f"/payments/pix/{expired['id']}/renew")
    assert renewed.status_code == 201
    assert payment_rows(alice) == []
