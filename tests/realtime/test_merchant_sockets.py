"""Telling a process's lines: to whom, what it costs, and what when the database is away."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa

from accounts.access import caller_by_token
from blueprints.transactions import merchant_sockets
from blueprints.transactions.merchant_sockets import MerchantSockets, type_of
from blueprints.transactions.websocket import Line
from config import parts_of
from core.errors import DatabaseUnavailable, TooManyRequests
from realtime.credentials import Watching, Watchings
from repository.database import ledger, reading
from repository.events import Recorded
from repository.payments import Payments
from tests.accounts.people import Person


class Told:
    """Stands where a line begins: remembers what was said to it."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.is_dropped = False

    def tell(self, text: str) -> bool:
        """Remember one message."""
        self.messages.append(json.loads(text))
        return True

    def drop(self) -> None:
        """Remember the end."""
        self.is_dropped = True


@pytest.fixture
def there(app):
    """The sockets of an app whose tasks the test runs itself, and a way to connect."""
    watchings = Watchings(app, lambda _do: None, lambda _seconds: None)
    sockets = MerchantSockets(app, watchings, lambda _do: None, lambda _seconds: None)

    def connect(person: Person) -> Told:
        key = person.key("payments:read")["key"]
        with app.app_context(), app.test_request_context(), reading() as work:
            caller = caller_by_token(work, key)
        told = Told()
        sockets.join(cast("Line", told), Watching(caller, told.drop))
        return told

    def tell() -> None:
        sockets._send(sockets._next_events())

    return SimpleNamespace(sockets=sockets, connect=connect, tell=tell)


@pytest.fixture
def people(app) -> list[Person]:
    """Alice and Charlie, who sell."""
    found = [Person(app, name) for name in ("alice", "charlie")]
    for person in found:
        person.sign_up()
    return found


@pytest.fixture
def heard(app) -> list[Recorded]:
    """What the app's announcer hands on."""
    events: list[Recorded] = []
    parts_of(app).announcer.listeners.append(events.append)
    return events


def create(person: Person) -> dict[str, Any]:
    """A transaction of this person's."""
    answer = person.post("/transactions/", json={"amount": 10}, headers=person.bearer())
    made: dict[str, Any] = answer.get_json()
    return {**made, "value": made["amount"]}


def test_an_event_goes_to_its_merchants_lines(there, people, heard, bank):
    """And to no one else's, though both stand side by side."""
    alice, charlie = (there.connect(person) for person in people)
    made = create(people[0])
    assert bank.confirm(made).status_code == 200
    there.sockets.hear(heard[-1])
    there.tell()
    assert [message["payment_id"] for message in alice.messages] == [made["id"]]
    assert charlie.messages == []


def test_a_payment_that_is_not_the_events_merchants_is_told_to_nobody(there, people, heard, bank):
    """A channel message of another service, or a wrong one, must not cross over."""
    lines = [there.connect(person) for person in people]
    theirs, ours = create(people[1]), create(people[0])
    bank.confirm(theirs)
    bank.confirm(ours)
    crossed = replace(heard[-1], payment_id=heard[0].payment_id)
    there.sockets.hear(crossed)
    there.tell()
    assert [line.messages for line in lines] == [[], []]


def test_without_a_line_an_event_costs_nothing(app, there, people, heard, bank):
    """Most merchants have no till that listens."""
    there.connect(people[1])
    bank.confirm(create(people[0]))
    statements: list[str] = []
    with app.app_context():
        engine = ledger().reading_engine
    sa.event.listen(
        engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
    )
    there.sockets.hear(heard[-1])
    assert statements == []
    assert there.sockets._pending.empty()


def test_many_events_at_once_are_read_at_once(app, there, people, heard, bank):
    """A busy minute costs a statement for the payments and one for the keys, not one each."""
    alice = there.connect(people[0])
    for _ in range(20):
        bank.confirm(create(people[0]))
    for event in heard:
        there.sockets.hear(event)
    statements: list[str] = []
    with app.app_context():
        engine = ledger().reading_engine

    def hear(_connection, _cursor, statement, *_rest):
        if statement.startswith("SELECT"):
            statements.append(statement)

    sa.event.listen(engine, "before_cursor_execute", hear)
    there.tell()
    sa.event.remove(engine, "before_cursor_execute", hear)
    assert len(alice.messages) == 20
    assert len(statements) == 2, statements


def test_a_database_that_stays_away_sends_the_listeners_to_ask_anew(
    there, people, heard, bank, monkeypatch
):
    """A message that cannot be told must not be missing unseen; a short absence only delays it."""
    alice = there.connect(people[0])
    bank.confirm(create(people[0]))
    event, ask, failures = heard[-1], Payments.by_row_ids, [3]

    def away(self, ids):
        failures[0] -= 1
        if failures[0] >= 0:
            raise DatabaseUnavailable
        return ask(self, ids)

    monkeypatch.setattr(Payments, "by_row_ids", away)
    there.sockets.hear(event)
    there.tell()
    assert (len(alice.messages), alice.is_dropped) == (1, False)
    failures[0] = 1000
    there.sockets.hear(event)
    there.tell()
    assert (len(alice.messages), alice.is_dropped) == (1, True)


def test_more_than_can_be_told_sends_the_listeners_to_ask_anew(
    there, people, heard, bank, monkeypatch
):
    """The queue is bounded; whoever would miss something is told by the end of the connection."""
    alice, charlie = (there.connect(person) for person in people)
    bank.confirm(create(people[0]))
    for _ in range(merchant_sockets.PENDING_MAX):
        there.sockets.hear(heard[-1])
    assert not alice.is_dropped
    there.sockets.hear(heard[-1])
    assert (alice.is_dropped, charlie.is_dropped) == (True, False)


def test_a_merchant_has_so_many_lines_and_no_more(there, people, monkeypatch):
    """Another merchant's are counted apart, and whoever leaves makes room."""
    monkeypatch.setattr(merchant_sockets, "LINES_PER_MERCHANT_MAX", 2)
    sockets = there.sockets
    for _ in range(2):
        there.connect(people[0])
    merchant_id = next(iter(sockets._lines))
    with pytest.raises(TooManyRequests):
        sockets.check_room(merchant_id)
    sockets.check_room(merchant_id + 1)
    line, watching = next(iter(sockets._lines[merchant_id].items()))
    sockets.leave(line, watching)
    sockets.check_room(merchant_id)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ("payment.confirmed", "payment_completed"),
        ("payment.expired", "payment_expired"),
        ("payment.cancelled", "payment_cancelled"),
        ("payment.refunded", "payment_refunded"),
        ("receipt.refused", "receipt_refused"),
        ("refund.failed", "refund_failed"),
    ],
)
def test_each_event_has_its_word(event, told):
    """The described clients wait for the first; the others follow its form."""
    assert type_of(event) == told
