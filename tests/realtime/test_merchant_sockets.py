"""Events to the merchants' sockets of a process: recipients, costs, database failures."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa

from accounts.access import caller_by_token
from blueprints.transactions import merchant_sockets
from blueprints.transactions.merchant_sockets import MerchantSockets, type_of
from config import parts_of
from core.errors import DatabaseUnavailable, TooManyRequests
from realtime.credentials import Watching, Watchings
from realtime.websocket import Line
from repository.database import ledger, reading
from repository.events import StoredEvent
from repository.payments import Payments
from tests.accounts.people import Person


class FakeLine:
    """Takes the place of a `Line` and stores the messages."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.is_dropped = False

    def tell(self, text: str) -> bool:
        """Store one message."""
        self.messages.append(json.loads(text))
        return True

    def drop(self) -> None:
        """Store that the line was dropped."""
        self.is_dropped = True


@pytest.fixture
def there(app):
    """The sockets of an app, whose tasks the test runs itself, and a function to connect."""
    watchings = Watchings(app, lambda _do: None, lambda _seconds: None)
    sockets = MerchantSockets(app, watchings, lambda _do: None, lambda _seconds: None)

    def connect(person: Person) -> FakeLine:
        key = person.key("payments:read")["key"]
        with app.app_context(), app.test_request_context(), reading() as work:
            caller = caller_by_token(work, key)
        line = FakeLine()
        sockets.join(cast("Line", line), Watching(caller, line.drop))
        return line

    def tell() -> None:
        sockets._send(sockets._next_events())

    return SimpleNamespace(sockets=sockets, connect=connect, tell=tell)


@pytest.fixture
def people(app) -> list[Person]:
    """Alice and Charlie, merchants."""
    persons = [Person(app, name) for name in ("alice", "charlie")]
    for person in persons:
        person.sign_up()
    return persons


@pytest.fixture
def events(app) -> list[StoredEvent]:
    """The events that the app's announcer passes to its listeners."""
    events: list[StoredEvent] = []
    parts_of(app).announcer.listeners.append(events.append)
    return events


def create(person: Person) -> dict[str, Any]:
    """Create a transaction."""
    answer = person.post("/transactions/", json={"amount": 10}, headers=person.bearer())
    transaction: dict[str, Any] = answer.get_json()
    return {**transaction, "value": transaction["amount"]}


def test_an_event_goes_to_its_merchants_lines(there, people, events, bank):
    """And not to the lines of another merchant."""
    alice, charlie = (there.connect(person) for person in people)
    transaction = create(people[0])
    assert bank.confirm(transaction).status_code == 200
    there.sockets.hear(events[-1])
    there.tell()
    assert [message["payment_id"] for message in alice.messages] == [transaction["id"]]
    assert charlie.messages == []


def test_an_event_with_another_merchants_payment_is_sent_to_nobody(there, people, events, bank):
    """A wrong channel message must not show one merchant's payment to another."""
    lines = [there.connect(person) for person in people]
    theirs, ours = create(people[1]), create(people[0])
    bank.confirm(theirs)
    bank.confirm(ours)
    crossed = events[-1]._replace(payment_id=events[0].payment_id)
    there.sockets.hear(crossed)
    there.tell()
    assert [line.messages for line in lines] == [[], []]


def test_without_a_line_an_event_costs_nothing(app, there, people, events, bank):
    """Most merchants do not listen."""
    there.connect(people[1])
    bank.confirm(create(people[0]))
    statements: list[str] = []
    with app.app_context():
        engine = ledger().reading_engine
    sa.event.listen(
        engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
    )
    there.sockets.hear(events[-1])
    assert statements == []
    assert there.sockets._pending.empty()


def test_many_events_at_once_are_read_at_once(app, there, people, events, bank):
    """They cost one statement for the payments and one for the credentials."""
    alice = there.connect(people[0])
    for _ in range(20):
        bank.confirm(create(people[0]))
    for event in events:
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


def test_a_long_database_failure_ends_the_connections(there, people, events, bank, monkeypatch):
    """So clients ask again and miss nothing; a short failure only delays the message."""
    alice = there.connect(people[0])
    bank.confirm(create(people[0]))
    event, ask, failures = events[-1], Payments.by_row_ids, [3]

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


def test_a_full_queue_ends_the_connections(there, people, events, bank, monkeypatch):
    """The clients then connect again and ask, so that they miss nothing."""
    alice, charlie = (there.connect(person) for person in people)
    bank.confirm(create(people[0]))
    for _ in range(merchant_sockets.PENDING_MAX):
        there.sockets.hear(events[-1])
    assert not alice.is_dropped
    there.sockets.hear(events[-1])
    assert (alice.is_dropped, charlie.is_dropped) == (True, False)


def test_a_merchants_lines_are_limited(there, people, monkeypatch):
    """Each merchant is counted apart, and a closed line makes room."""
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
    ("event", "message_type"),
    [
        ("payment.confirmed", "payment_completed"),
        ("payment.expired", "payment_expired"),
        ("payment.cancelled", "payment_cancelled"),
        ("payment.refunded", "payment_refunded"),
        ("receipt.refused", "receipt_refused"),
        ("refund.failed", "refund_failed"),
    ],
)
def test_each_event_has_its_message_type(event, message_type):
    """Existing clients wait for the first; the others have the same form."""
    assert type_of(event) == message_type
