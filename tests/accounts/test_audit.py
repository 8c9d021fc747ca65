"""Who did what: a row for each deed, in its own transaction, and never a secret in it."""

from __future__ import annotations

import json

from accounts import audit
from accounts.sign_ins import forget_old_records
from repository.database import in_unit_of_work, reading
from tests.accounts.people import PASSWORD, Person, actions, audit_rows


def test_a_day_of_an_account_can_be_read_afterwards(app, settings):
    """Signing up, in, wrongly, keys, the password, the end: each by its name, in order."""
    alice = Person(app, "alice", address="192.0.2.1")
    alice.sign_up()
    alice.ask_tokens(username="alice", password="wrong")
    header = alice.bearer()
    key = alice.post("/api/keys", json={"label": "till"}, headers=header).get_json()
    client = app.test_client()
    client.delete(f"/api/keys/{key['id']}", headers=header)
    client.delete(f"/api/keys/{key['id']}", headers=header)  # again: nothing is done, nothing kept
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
    """Enough to answer a telephone call about it."""
    alice = Person(app, "alice", address="192.0.2.1")
    alice.sign_up(role="payer")
    clock.advance(seconds=5)
    answer = alice.post(
        "/token",
        data={"username": "alice", "password": "wrong"},
        headers={"X-Request-ID": "call-17"},
    )
    assert answer.status_code == 401
    made, refused = audit_rows(app, "alice")
    assert (made.subject, made.details) == ("alice", {"role": "payer"})
    assert (refused.address, refused.request_id) == ("192.0.2.1", "call-17")
    assert refused.occurred_at == clock.now()
    assert (refused.occurred_at - made.occurred_at).total_seconds() == 5


def test_no_row_holds_a_secret(app):
    """A password typed where the login belongs must not be kept either."""
    alice = Person(app, "alice")
    alice.sign_up()
    alice.ask_tokens(username=PASSWORD, password="alice")
    alice.ask_tokens(username="alice", password="a wrong password")
    key = alice.key("payments:read")
    kept = json.dumps([[row.action, row.subject, row.details] for row in audit_rows(app)])
    for secret in (PASSWORD, "a wrong password", key["key"], "argon2"):
        assert secret not in kept
    assert '["session.refused", "(unknown)", {}]' in kept


def test_what_is_rolled_back_is_not_in_the_rows(app, alice):
    """The row and the deed are one transaction."""
    before = actions(app)
    taken = Person(app, "alice").post(
        "/users/", json={"username": "alice", "password": "another horse"}
    )
    assert taken.status_code == 409
    assert actions(app) == before


def test_a_long_subject_is_cut_and_an_unknown_account_is_nobody(app):
    """Whatever another part of the service wants to keep fits."""
    with app.app_context():
        in_unit_of_work(
            lambda work: audit.record(work, None, "settings.changed", "x" * 500, {"grace": 5})
        )
    (row,) = [row for row in audit_rows(app) if row.action == "settings.changed"]
    assert (len(row.subject), row.account_id, row.address) == (140, None, "")


def test_rows_are_forgotten_when_their_time_is_over(app, alice, clock, settings):
    """Addresses of people are kept as long as somebody needs them, and no longer."""
    assert actions(app, "alice") == ["account.created"]
    with app.app_context():
        clock.advance(days=settings.audit_days)
        assert forget_old_records(settings) == 0
        clock.advance(seconds=1)
        assert forget_old_records(settings) == 2  # the demo merchant's too
    assert actions(app) == []


def test_the_rows_go_page_by_page_and_by_kind(app, alice):
    """What the administrator's page reads."""
    for _ in range(3):
        alice.ask_tokens(username="alice", password="wrong")
    with app.app_context(), reading() as work:
        first = work.audit.page(2, action="session.refused")
        rest = work.audit.page(2, action="session.refused", after=first.next)
    found = [*first.items, *rest.items]
    assert rest.next is None
    assert [login for _, login in found] == ["alice"] * 3
    assert len({entry.id for entry, _ in found}) == 3
