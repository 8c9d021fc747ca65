"""Refused requests: noted in memory, attributed to their merchant, bounded, and forgotten."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from accounts import refusals
from accounts.keys import new_api_key
from accounts.refusals import RefusalNote, RefusalNotes, forget_old_refusals, refusal_notes
from core.errors import DatabaseUnavailable
from db_models import RefusedRequest
from repository.database import reading
from tests.accounts.people import Person, bearer
from tests.support.service import close_app, ready_app, settings_for


def write(app):
    """Run the job that writes the notes; return how many rows it stored."""
    with app.app_context():
        return refusal_notes().write()


def rows(app):
    """The stored rows, oldest first."""
    with app.app_context(), reading() as work:
        return work.session.scalars(sa.select(RefusedRequest).order_by(RefusedRequest.id)).all()


def note(clock, account_id=1, **changes):
    """A note of a merchant's refused request."""
    values = {
        "account_id": account_id,
        "key_sha256": None,
        "account_public_id": None,
        "refused_at": clock.now(),
        "method": "POST",
        "path": "/payments/pix",
        "status": 400,
        "code": "invalid-request",
        "request_id": "a" * 32,
    }
    return RefusalNote(**{**values, **changes})


@pytest.mark.parametrize("kind", ["key", "token"])
def test_a_refusal_is_stored_with_its_code_and_the_names_of_its_fields(alice, kind):
    """The body is refused before anything looks up who sent it; no value of it is stored."""
    new_key = alice.key("payments:write", "payments:read")
    header = bearer(new_key["key"]) if kind == "key" else alice.bearer()
    body = {"value": "secret-value", "colour": "secret-colour"}
    answer = alice.post("/payments/pix?secret=1", json=body, headers=header)
    assert answer.status_code == 400

    assert write(alice.app) == 1
    (row,) = rows(alice.app)
    assert (row.method, row.path, row.status) == ("POST", "/payments/pix", 400)
    assert row.code == answer.get_json()["code"]
    assert row.request_id == answer.headers["X-Request-ID"]
    assert sorted(row.fields) == ["colour", "value"]
    assert (row.key_id is None) == (kind == "token")
    assert "secret" not in str({name: getattr(row, name.key) for name in row.__table__.c})


def test_a_refusal_after_the_lookup_names_the_key(alice):
    """A missing scope and an unknown payment are refused by the view, which knows the caller."""
    header = bearer(alice.key("payments:read")["key"])
    missing = f"/payments/pix/{'0' * 32}/cancel"
    assert alice.post(missing, headers=header).status_code == 403
    assert alice.get("/payments/pix/nothing", header).status_code == 404

    assert write(alice.app) == 2
    stored = rows(alice.app)
    assert [(row.status, row.code) for row in stored] == [
        (403, "forbidden"),
        (404, "payment-not-found"),
    ]
    assert all(row.key_id is not None for row in stored)


def test_a_revoked_key_is_attributed_and_an_unknown_key_to_nobody(alice):
    """A program that still uses a revoked key is a thing its merchant wants to find."""
    new_key = alice.key("payments:read")
    alice.app.test_client().delete(f"/api/keys/{new_key['id']}", headers=alice.bearer())
    assert alice.get("/payments/pix", bearer(new_key["key"])).status_code == 401
    for key in (new_api_key(), new_api_key(live=True), "balcao_"):
        assert alice.get("/payments/pix", bearer(key)).status_code == 401

    assert write(alice.app) == 1
    (row,) = rows(alice.app)
    assert (row.status, row.code) == (401, "unauthorized")
    assert row.key_id is not None


def test_what_is_no_refused_request_of_a_merchants_program_is_not_noted(alice, person):
    """Success, a page's cookie, no credentials, a payer, and a token that nobody signed."""
    header = alice.bearer()
    assert alice.get("/payments/pix", header).status_code == 200
    browser = alice.enter()
    assert browser.post("/payments/pix", json={}, headers=alice.with_csrf()).status_code == 400
    assert alice.post("/payments/pix", json={}).status_code == 400
    bob = person("bob", role="payer")
    assert bob.get("/api/keys", bob.bearer()).status_code == 403
    assert bob.post("/payments/pix", json={}, headers=bob.bearer()).status_code == 400
    for value in ("Bearer", "Bearer x.y.z", "Basic YTpi", f"Bearer balcao_{'x' * 3000}"):
        answer = alice.post("/payments/pix", json={}, headers={"Authorization": value})
        assert answer.status_code in (400, 401)
    assert write(alice.app) == 0
    assert rows(alice.app) == []


def test_secrets_and_control_characters_are_not_stored(alice):
    """A key in a path, or as the name of a field, must not appear on a page."""
    key = alice.key("payments:write")["key"]
    header = bearer(key)
    assert alice.get(f"/nothing/{key}", header).status_code == 404
    assert alice.get("/a%0A%E2%80%AEb", header).status_code == 404
    assert alice.get(f"/{'é' * 300}", header).status_code == 404
    body = {"value": 1, key: 1, **{f"x{n}": 1 for n in range(20)}, "y" * 100: 1}
    assert alice.post("/payments/pix", json=body, headers=header).status_code == 400

    write(alice.app)
    stored = rows(alice.app)
    assert [row.path for row in stored[:3]] == [
        "/nothing/balcao_…",
        "/a\ufffd\ufffdb",
        f"/{'é' * 198}…",
    ]
    assert all(key[10:] not in str((row.path, row.fields)) for row in stored)
    assert len(stored[3].fields) == refusals.FIELDS_MAX
    assert all(len(name) <= refusals.FIELD_CHARACTERS_MAX for name in stored[3].fields)


def test_a_minute_has_thirty_notes_of_a_merchant_and_the_next_minute_has_more(clock):
    """A program that repeats its mistake must not fill the memory or displace other merchants."""
    notes = RefusalNotes()
    for _ in range(refusals.NOTES_PER_MINUTE + 2):
        notes.note(note(clock), "192.0.2.1")
    notes.note(note(clock, account_id=2), "192.0.2.1")
    assert (len(notes._notes), notes.dropped) == (refusals.NOTES_PER_MINUTE + 1, 2)
    clock.advance(seconds=60)
    notes.note(note(clock), "192.0.2.1")
    assert (len(notes._notes), notes.dropped) == (refusals.NOTES_PER_MINUTE + 2, 2)


def test_strangers_leave_room_for_known_merchants(clock):
    """Anybody can send invented keys, also from many networks."""
    notes = RefusalNotes()
    for n in range(refusals.UNKNOWN_MAX + 5):
        stranger = note(clock, None, key_sha256=f"{n:064}")
        notes.note(stranger, f"192.0.2.{n}")
    assert (len(notes._notes), notes.dropped) == (refusals.UNKNOWN_MAX, 5)
    for n in range(refusals.NOTES_MAX):
        notes.note(note(clock, account_id=n), "192.0.2.1")
    assert (len(notes._notes), notes.dropped) == (refusals.NOTES_MAX, 5 + refusals.UNKNOWN_MAX)


def test_many_networks_with_one_key_count_for_its_merchant(alice, clock):
    """The bound of a network alone would let a merchant's own fleet fill the table."""
    new_key = bearer(alice.key("payments:write")["key"])
    for n in range(refusals.NOTES_PER_MINUTE + 3):
        where = {"REMOTE_ADDR": f"192.0.2.{n}"}
        answer = alice.app.test_client().post(
            "/payments/pix", json={}, headers=new_key, environ_overrides=where
        )
        assert answer.status_code == 400
    assert write(alice.app) == refusals.NOTES_PER_MINUTE


def test_a_merchant_has_the_newest_two_hundred_and_another_keeps_hers(alice, person, clock):
    """The table stays small, however many programs are wrong."""
    charlie = person("charlie")
    header = charlie.bearer()
    assert charlie.get("/payments/pix/nothing", header).status_code == 404
    header = alice.bearer()
    for n in range(refusals.KEPT_PER_MERCHANT + 3):
        if n % refusals.NOTES_PER_MINUTE == 0:
            write(alice.app)
            clock.advance(seconds=60)
        assert alice.get(f"/payments/pix/{n}", header).status_code == 404
    write(alice.app)
    stored = rows(alice.app)
    assert len(stored) == refusals.KEPT_PER_MERCHANT + 1
    assert stored[0].path == "/payments/pix/nothing"
    assert stored[1].path == "/payments/pix/3"
    assert stored[-1].path == f"/payments/pix/{refusals.KEPT_PER_MERCHANT + 2}"


def test_a_row_is_forgotten_after_seven_days(alice, clock):
    """Not a moment earlier, and in batches that end."""
    header = alice.bearer()
    for _ in range(3):
        alice.get("/payments/pix/nothing", header)
    write(alice.app)
    with alice.app.app_context():
        clock.advance(seconds=refusals.KEPT_FOR.total_seconds())
        assert forget_old_refusals() == 0
        clock.advance(seconds=1)
        assert forget_old_refusals(lambda: False) == 0
        assert forget_old_refusals() == 3
    assert rows(alice.app) == []


def test_batches_go_on_until_nothing_is_old(alice, clock, monkeypatch):
    """More rows than one batch are forgotten in one run."""
    monkeypatch.setattr(refusals, "_FORGET_BATCH", 2)
    header = alice.bearer()
    for _ in range(5):
        alice.get("/payments/pix/nothing", header)
    write(alice.app)
    clock.advance(seconds=timedelta(days=7, seconds=1).total_seconds())
    with alice.app.app_context():
        assert forget_old_refusals() == 5


def test_while_the_database_is_away_requests_are_answered_and_notes_wait(
    fresh_database, tmp_path, clock
):
    """The notes stay within their bound, and are written when the database is back."""
    url = fresh_database("sqlite")
    app = ready_app(settings_for(url, tmp_path), clock)
    try:
        alice = Person(app, "alice")
        alice.sign_up()
        header = bearer(alice.key("payments:write")["key"])
        file = Path(sa.make_url(url).database or "")
        close_app(app)
        (tmp_path / "away").mkdir()
        away = tmp_path / "away" / "file"
        file.rename(away)
        file.mkdir()
        assert alice.post("/payments/pix", json={}, headers=header).status_code == 400
        assert alice.post("/payments/pix", json={"value": 1}, headers=header).status_code == 503
        with pytest.raises(DatabaseUnavailable):
            write(app)
        file.rmdir()
        away.rename(file)
        assert write(app) == 2
        assert sorted(row.status for row in rows(app)) == [400, 503]
    finally:
        close_app(app)
