"""Events are announced after the commit, from stored rows: not early, not twice, not lost."""

from __future__ import annotations

import pytest

from config import parts_of
from core.signing.signatures import VerifiedMessage
from payments import receiving
from payments.schemas import Confirmation
from realtime.announcer import CATCH_UP_MARGIN
from repository.database import ledger, unit_of_work
from repository.events import RELAY_PATIENCE
from tests.support.service import end_to_end_id


class PowerCut(Exception):
    """Ends a transaction before its commit."""


@pytest.fixture
def bob(app):
    """A client of the live events, in this process."""
    client = app.extensions["socketio"].test_client(app)
    yield client
    client.disconnect()


@pytest.fixture
def announcer(app):
    """The app's announcer."""
    return parts_of(app).announcer


def _watch(client, payment):
    answer = client.emit("watch", {"payment_id": payment["id"]}, callback=True)
    assert answer["ok"] is True


def _event_names(client):
    return [packet["name"] for packet in client.get_received()]


def _confirm(work, payment):
    notification = Confirmation.model_validate(
        {"bank_payment_id": payment["id"], "value": str(payment["value"]),
         "end_to_end_id": end_to_end_id()}
    )  # fmt: skip
    return receiving.take(
        work, notification, VerifiedMessage("msg_1", work.now)
    ).accepted_or_raise()


def test_a_confirmation_that_is_rolled_back_is_never_announced(app, bob, announcer, make_payment):
    """A page must not say `paid` when the database does not."""
    payment = make_payment()
    _watch(bob, payment)

    def confirm_and_fail():
        with unit_of_work() as work:
            _confirm(work, payment)
            raise PowerCut

    with app.app_context():
        announcer.flush()  # the creation's own event
        with pytest.raises(PowerCut):
            confirm_and_fail()
        assert announcer.relay() == 0
        assert announcer.flush() == 0
    assert _event_names(bob) == []


def test_nothing_is_announced_before_the_commit(app, bob, make_payment):
    """A browser that hears the event asks the server, and must find the change."""
    payment = make_payment()
    _watch(bob, payment)
    with app.app_context():
        with unit_of_work() as work:
            _confirm(work, payment)
            before = _event_names(bob)
        after = _event_names(bob)
    assert before == []
    assert after == ["payment-confirmed", f"payment-confirmed-{payment['id']}"]


def test_a_message_is_written_only_if_somebody_is_in_its_rooms(
    app, bob, make_payment, bank, monkeypatch
):
    """Every process hears of every event, and most of them serve none of its watchers."""
    watched, other = make_payment(), make_payment()
    _watch(bob, watched)
    socketio = app.extensions["socketio"]
    written = []
    emit = socketio.emit

    def write(name, *arguments, **options):
        written.append(name)
        emit(name, *arguments, **options)

    monkeypatch.setattr(socketio, "emit", write)
    bank.confirm(other)
    assert written == []
    bank.confirm(watched)
    assert set(written) >= set(_event_names(bob)) > set()


def test_the_relay_announces_what_a_killed_process_committed(
    app, bob, announcer, make_payment, clock
):
    """Killed between commit and emit: the event is late, and announced once."""
    payment = make_payment()
    _watch(bob, payment)
    with app.app_context():
        listeners, ledger().commit_listeners = ledger().commit_listeners, []
        with unit_of_work() as work:
            _confirm(work, payment)
        ledger().commit_listeners = listeners
        assert announcer.relay() == 0  # its own process may still announce it
        clock.advance(seconds=RELAY_PATIENCE.total_seconds() + 1)
        assert announcer.relay() >= 1
        assert _event_names(bob) == ["payment-confirmed", f"payment-confirmed-{payment['id']}"]
        announcer.flush()
        clock.advance(hours=1)
        assert announcer.relay() == 0
    assert _event_names(bob) == []


def test_a_failing_listener_does_not_undo_a_payment(app, client, bank, make_payment):
    """The bank gets its 200, and the relay announces the event later."""

    def broken(_events):
        raise RuntimeError("out of order")

    with app.app_context():
        ledger().commit_listeners.insert(0, broken)
    payment = make_payment()
    assert bank.confirm(payment).status_code == 200
    assert client.get(f"/payments/pix/{payment['id']}/status").json["status"] == "confirmed"


def test_a_process_catches_up_once_after_it_was_not_subscribed(
    app, bob, announcer, make_payment, bank, clock
):
    """Redis drops messages without a subscriber; the events stay in the database."""
    old, new = make_payment(), make_payment()
    for payment in (old, new):
        _watch(bob, payment)
    with app.app_context():
        listeners, ledger().commit_listeners = ledger().commit_listeners, []
    bank.confirm(old)
    clock.advance(seconds=CATCH_UP_MARGIN.total_seconds() + 1)
    since = clock.now()
    bank.confirm(new)
    with app.app_context():
        ledger().commit_listeners = listeners
    announcer._catch_up(since)
    announcer._catch_up(since)
    assert _event_names(bob) == ["payment-confirmed", f"payment-confirmed-{new['id']}"]
