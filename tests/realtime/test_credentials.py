"""Open connections end when their credentials end; all are checked together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from accounts.access import Caller, caller_by_token
from accounts.tokens import CLOCK_LEEWAY
from core.clock import ShiftedClock, SystemClock
from realtime.credentials import Watching, Watchings
from repository.database import in_unit_of_work, ledger, reading
from tests.accounts.people import Person


@pytest.fixture
def watchings(app) -> Watchings:
    """No connections yet; only the test checks them."""
    return Watchings(app, lambda _do: None, lambda _seconds: None)


@pytest.fixture
def ended() -> list[str]:
    """The names of the ended connections."""
    return []


@pytest.fixture
def watch(app, watchings, ended):
    """Watch by a token: watch("till", token) → the caller."""

    def watch(name: str, token: str, **changes) -> Caller:
        with app.app_context(), app.test_request_context(), reading() as work:
            caller = replace(caller_by_token(work, token), **changes)
        watchings.add(Watching(caller, lambda: ended.append(name)))
        return caller

    return watch


@pytest.fixture
def look(app, watchings):
    """Check once; return how many connections ended."""

    def look() -> int:
        with app.app_context():
            return watchings.look()

    return look


@pytest.fixture
def alice(app) -> Person:
    """Alice, a merchant."""
    person = Person(app, "alice")
    person.sign_up()
    return person


def by_the_clock(app, **changes):
    """A token's end, beside the app's own clock."""
    with app.app_context():
        return ledger().clock.now() + timedelta(**changes)


def test_valid_credentials_keep_their_connections(app, alice, watch, look, ended):
    """A check must not end them."""
    later = by_the_clock(app, hours=1)
    watch("token", alice.tokens()["access_token"], expires_at=later)
    watch("key", alice.key()["key"])
    assert (look(), ended) == (0, [])


def test_a_token_counts_by_the_machines_clock(app, alice, watch, look, ended, tmp_path):
    """CLOCK_FILE moves the service, and not the library that writes the ends of tokens."""
    token = alice.tokens()["access_token"]
    (tmp_path / "clock").write_text("3600", "utf-8")
    with app.app_context():
        ledger().clock = ShiftedClock(tmp_path / "clock")
    watch("new", token, expires_at=SystemClock().now() + timedelta(minutes=10))
    watch("old", token, expires_at=SystemClock().now() - timedelta(minutes=10))
    assert (look(), ended) == (1, ["old"])


def test_a_revoked_key_ends_its_own_connections(app, alice, watch, look, ended):
    """The connection of the other key stays open."""
    lost, other = alice.key(), alice.key()
    watch("lost", lost["key"])
    watch("lost too", lost["key"])
    watch("kept", other["key"])
    client = app.test_client()
    assert client.delete(f"/api/keys/{lost['id']}", headers=alice.bearer()).status_code == 200
    assert look() == 2
    assert sorted(ended) == ["lost", "lost too"]
    assert look() == 0


def test_a_sign_out_ends_the_connections_of_that_sign_in(app, alice, watch, look, ended):
    """The connection of another sign-in stays open."""
    later = by_the_clock(app, hours=1)
    first, second = alice.tokens()["access_token"], alice.tokens()["access_token"]
    watch("first", first, expires_at=later)
    watch("second", second, expires_at=later)
    header = {"Authorization": f"Bearer {first}"}
    assert app.test_client().post("/api/logout", headers=header).status_code == 200
    assert (look(), ended) == (1, ["first"])


def test_a_disabled_account_ends_everything(app, alice, watch, look, ended):
    """The operator may disable it in another process."""
    later = by_the_clock(app, hours=1)
    watch("token", alice.tokens()["access_token"], expires_at=later)
    watch("key", alice.key()["key"])
    with app.app_context():
        in_unit_of_work(
            lambda work: work.accounts.change(
                work.accounts.by_login("alice").id, {"disabled_at": work.now}
            )
        )
    assert look() == 2
    assert sorted(ended) == ["key", "token"]


def test_a_program_ends_with_its_token_and_a_browser_with_its_sign_in(
    app, clock, alice, watch, look, ended
):
    """A browser's cookie is renewed; a program's token is not."""
    token, end = alice.tokens()["access_token"], by_the_clock(app, seconds=60)
    watch("program", token, expires_at=end)
    watch("browser", token, expires_at=end, by_cookie=True)
    clock.advance(seconds=59 + CLOCK_LEEWAY.total_seconds())
    assert (look(), ended) == (0, [])
    clock.advance(seconds=1)
    assert (look(), ended) == (1, ["program"])
    clock.advance(days=60)
    assert look() == 1
    assert ended == ["program", "browser"]


def test_two_statements_for_a_hundred_connections(app, alice, watch, look, ended):
    """A hundred idle connections cost as much as one; without connections there is no statement."""
    later = by_the_clock(app, hours=1)
    with app.app_context():
        engine = ledger().reading_engine
    statements: list[str] = []

    def hear(_connection, _cursor, statement, *_rest):
        if statement.startswith("SELECT"):
            statements.append(statement)

    token, key = alice.tokens()["access_token"], alice.key()["key"]
    sa.event.listen(engine, "before_cursor_execute", hear)
    try:
        assert (look(), statements) == (0, [])
        for _ in range(50):
            watch("token", token, expires_at=later)
            watch("key", key)
        statements.clear()
        assert look() == 0
    finally:
        sa.event.remove(engine, "before_cursor_execute", hear)
    assert len(statements) == 2, statements
    assert ended == []


def test_a_connection_that_left_is_not_ended(alice, watchings, look, ended, app):
    """Its socket may belong to another connection by now."""
    with app.test_request_context(), reading() as work:
        caller = caller_by_token(work, alice.key()["key"])
    watching = Watching(caller, lambda: ended.append("gone"))
    watchings.add(watching)
    watchings.remove(watching)
    with app.app_context():
        in_unit_of_work(lambda work: work.accounts.revoke_key(caller.key_id or 0, work.now))
    assert (look(), ended) == (0, [])


def test_the_checks_end_with_the_last_connection_and_begin_with_the_next(app):
    """Otherwise a task would ask the database of a service that has stopped, for ever."""
    tasks: list[Callable[[], None]] = []
    pauses: list[float] = []
    nobody: Any = None  # no credentials are looked at
    watchings = Watchings(app, tasks.append, pauses.append)
    for number in (1, 2):
        watchings.add(Watching(nobody, lambda: None))
        assert len(tasks) == number
        watchings.forget_all()
        tasks[-1]()
        assert len(pauses) == number
