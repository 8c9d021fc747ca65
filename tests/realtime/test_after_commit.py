"""Events are told after the commit, from stored rows: none too early, none twice, none lost."""

from __future__ import annotations

import pytest

from config import parts_of
from core.signing.signatures import Signed
from payments import service
from payments.schemas import Confirmation
from realtime.announcer import CATCH_UP_MARGIN
from repository.database import ledger, unit_of_work
from repository.events import RELAY_PATIENCE
from tests.support.service import end_to_end_id


class PowerCut(Exception):
    """Whatever ends a transaction before its commit."""


@pytest.fixture
def bob(app):
    """A client of the live events, in this process."""
    client = app.extensions["socketio"].test_client(app)
    yield client
    client.disconnect()


@pytest.fixture
def announcer(app):
    """What tells the rooms."""
    return parts_of(app).announcer


def _watch(client, payment):
    answer = client.emit("watch", {"payment_id": payment["id"]}, callback=True)
    assert answer["ok"] is True


def _heard(client):
    return [packet["name"] for packet in client.get_received()]


def _confirm(work, payment):
    told = Confirmation.model_validate(
        {"bank_payment_id": payment["id"], "value": str(payment["value"]),
         "end_to_end_id": end_to_end_id()}
    )  # fmt: skip
    return service.confirm(work, told, Signed("msg_1", work.now)).accepted_or_raise()


def test_a_confirmation_that_is_rolled_back_is_never_announced(app, bob, announcer, make_payment):
    """A page that says paid while the database says not is worse than a late one."""
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
    assert _heard(bob) == []


def test_nothing_is_announced_before_the_commit(app, bob, make_payment):
    """A browser that asks on hearing of it must find it."""
    payment = make_payment()
    _watch(bob, payment)
    with app.app_context():
        with unit_of_work() as work:
            _confirm(work, payment)
            before = _heard(bob)
        after = _heard(bob)
    assert before == []
    assert after == ["payment-confirmed", f"payment-confirmed-{payment['id']}"]


def test_what_a_dying_process_committed_and_did_not_tell_is_told_by_the_relay(
    app, bob, announcer, make_payment, clock
):
    """Killed between commit and emit: the event is late, not lost, and told once."""
    payment = make_payment()
    _watch(bob, payment)
    with app.app_context():
        listeners, ledger().commit_listeners = ledger().commit_listeners, []
        with unit_of_work() as work:
            _confirm(work, payment)
        ledger().commit_listeners = listeners
        assert announcer.relay() == 0  # its recorder still has its time to tell
        clock.advance(seconds=RELAY_PATIENCE.total_seconds() + 1)
        assert announcer.relay() >= 1
        assert _heard(bob) == ["payment-confirmed", f"payment-confirmed-{payment['id']}"]
        announcer.flush()
        clock.advance(hours=1)
        assert announcer.relay() == 0
    assert _heard(bob) == []


def test_a_listener_that_fails_does_not_undo_what_was_paid(app, client, bank, make_payment):
    """Telling is not settling: whoever paid sees 200, and the relay tells later."""

    def broken(_events):
        raise RuntimeError("out of order")

    with app.app_context():
        ledger().commit_listeners.insert(0, broken)
    payment = make_payment()
    assert bank.confirm(payment).status_code == 200
    assert client.get(f"/payments/pix/{payment['id']}/status").json["status"] == "confirmed"


def test_a_process_that_was_deaf_tells_what_was_stored_meanwhile_once(
    app, bob, announcer, make_payment, bank, clock
):
    """Redis forgets what nobody heard; the database does not."""
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
    assert _heard(bob) == ["payment-confirmed", f"payment-confirmed-{new['id']}"]
