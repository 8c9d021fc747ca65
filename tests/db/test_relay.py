"""The relay: a crash between commit and emit delays an event and loses none."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial

import pytest

from config import parts_of
from payments import service
from repository.database import in_unit_of_work, ledger, reading
from repository.events import RELAY_PATIENCE
from tests.db.crowd import at_once

INSTANT = timedelta(microseconds=1)


class Watcher:
    """A browser that watches payments on one app."""

    def __init__(self, app, *payments):
        self._socket = app.extensions["socketio"].test_client(app)
        for payment in payments:
            answer = self._socket.emit("watch", {"payment_id": payment["id"]}, callback=True)
            assert answer["ok"], answer
        self._socket.get_received()

    def received_events(self):
        """The events since the last call, without those whose name contains an id."""
        received = self._socket.get_received()
        return [
            (message["name"], message["args"][0]["payment_id"])
            for message in received
            if "payment_id" in message["args"][0]
            and not message["name"].endswith(message["args"][0]["payment_id"])
        ]


def announcer(app):
    """The announcer of this app."""
    return parts_of(app).announcer


def stop_announcing(app):
    """Make this app announce nothing, as if it died between each commit and its emit."""
    with app.app_context():
        ledger().commit_listeners.clear()


def relay(app):
    """Run the relay once; return how many events it announced."""
    with app.app_context():
        return announcer(app).relay()


def flush(app):
    """Run the flush once; return how many events it marked as announced."""
    with app.app_context():
        return announcer(app).flush()


def count_unannounced(processes):
    """The number of events that are not marked as announced."""
    return processes.tables.rows("SELECT COUNT(*) FROM payment_events WHERE relay_at IS NOT NULL")[
        0
    ][0]


@pytest.fixture
def crashed(processes):
    """A payment that a process confirmed before it died without announcing that."""
    payment = processes.create()
    stop_announcing(processes.app(0))
    assert processes.bank(0).confirm(payment).status_code == 200
    return payment


def test_events_of_a_dead_process_are_announced_by_another(processes, crashed):
    """The payer paid, so the shop's page must show it, even after a crash."""
    watcher = Watcher(processes.app(1), crashed)
    processes.clock.advance(seconds=RELAY_PATIENCE.total_seconds())
    assert relay(processes.app(1)) >= 1
    assert watcher.received_events() == [("payment-confirmed", crashed["id"])]
    flush(processes.app(1))
    processes.clock.advance(hours=1)
    assert relay(processes.app(1)) == 0
    assert watcher.received_events() == []


def test_events_stored_before_the_clock_was_set_back_are_announced_once(processes, crashed):
    """Otherwise the page would wait until the clock is again where it was."""
    watcher = Watcher(processes.app(1), crashed)
    processes.clock.advance(seconds=-600)
    assert relay(processes.app(1)) >= 1
    assert relay(processes.app(2)) == 0
    assert watcher.received_events() == [("payment-confirmed", crashed["id"])]


def test_the_relay_gives_the_process_of_an_event_time_to_announce_it(processes, crashed):
    """Without RELAY_PATIENCE both the process and the relay would announce each event."""
    watcher = Watcher(processes.app(1), crashed)
    processes.clock.instant += RELAY_PATIENCE - INSTANT
    assert relay(processes.app(1)) == 0
    assert watcher.received_events() == []
    processes.clock.instant += INSTANT
    assert relay(processes.app(1)) >= 1
    assert watcher.received_events() == [("payment-confirmed", crashed["id"])]


def test_two_relays_at_once_announce_each_event_once(processes):
    """Two processes come up after the crash of a third: each event is claimed by one of them."""
    stop_announcing(processes.app(0))
    count = 20
    answers = [processes.post("/payments/pix", json={"value": 10}) for _ in range(count)]
    payments = [answer.json["payment"] for answer in answers]
    for payment in payments:
        assert processes.bank(0).confirm(payment).status_code == 200
    watchers = [Watcher(processes.app(n), *payments) for n in (1, 2)]
    processes.clock.advance(minutes=1)
    counts = at_once([partial(relay, processes.app(n)) for n in (1, 2)])
    counts.append(relay(processes.app(1)))
    assert sum(counts) == count  # creations are not announced
    received_events = Counter(one for watcher in watchers for one in watcher.received_events())
    assert received_events == {("payment-confirmed", payment["id"]): 1 for payment in payments}
    assert sum(flush(processes.app(n)) for n in (1, 2)) == count
    assert count_unannounced(processes) == 0


def test_a_relay_that_dies_with_its_claim_leaves_it_to_the_next(processes, crashed):
    """The claim is a lease, so a second crash delays the event again and does not lose it."""
    now = processes.clock.advance(minutes=1)
    with processes.app(1).app_context():
        events = [event for event in _unannounced_events(now) if event.name == "payment.confirmed"]
        assert _claim(events[0].id) is True
        assert _claim(events[0].id) is False
    watcher = Watcher(processes.app(2), crashed)
    relay(processes.app(2))
    assert watcher.received_events() == []
    processes.clock.instant += RELAY_PATIENCE
    relay(processes.app(2))
    assert watcher.received_events() == [("payment-confirmed", crashed["id"])]


def _unannounced_events(now):
    with reading() as work:
        return work.events.unannounced(now, 100)


def _claim(event_id):
    return in_unit_of_work(lambda work: work.events.claim(event_id, work.now))


def test_an_announced_event_is_marked_and_not_announced_again(processes):
    """Normally: announced after the commit, marked by the next flush, nothing to relay."""
    payment = processes.create()
    watcher = Watcher(processes.app(0), payment)
    processes.bank(0).confirm(payment)
    assert watcher.received_events() == [("payment-confirmed", payment["id"])]
    assert count_unannounced(processes) == 1
    assert flush(processes.app(0)) == 1
    assert (count_unannounced(processes), flush(processes.app(0))) == (0, 0)
    processes.clock.advance(hours=1)
    assert [relay(app) for app in processes.apps] == [0] * len(processes.apps)
    assert watcher.received_events() == []


def test_a_process_does_not_relay_its_own_unmarked_announcements(processes):
    """A slow flush is no reason to draw the page twice."""
    payment = processes.create()
    watcher = Watcher(processes.app(0), payment)
    processes.bank(0).confirm(payment)
    processes.clock.advance(minutes=1)
    assert relay(processes.app(0)) == 0
    assert watcher.received_events() == [("payment-confirmed", payment["id"])]
    assert flush(processes.app(0)) == 1


def test_an_expiry_of_a_dying_sweep_is_announced_too(processes):
    """The sweep's events are rows like any other."""
    payment = processes.create(expires_in=10)
    stop_announcing(processes.app(0))
    processes.clock.advance(seconds=11)
    assert processes.sweep(0) == 1
    watcher = Watcher(processes.app(1), payment)
    processes.clock.instant += RELAY_PATIENCE
    relay(processes.app(1))
    assert watcher.received_events() == [("payment-expired", payment["id"])]


def test_a_change_that_was_rolled_back_is_never_announced(processes):
    """Events are announced only after the commit, so a rolled-back change has none."""
    payment = processes.create()
    watcher = Watcher(processes.app(0), payment)

    def fail(work):
        cancelled = work.payments.by_txid(payment["id"])
        service.cancel(work, cancelled, cancelled.merchant)
        raise RuntimeError("the request failed")

    with processes.app(0).app_context(), pytest.raises(RuntimeError, match="request failed"):
        in_unit_of_work(fail)
    processes.clock.advance(minutes=1)
    relay(processes.app(1))
    assert watcher.received_events() == []
    assert processes.tables.event_names(payment["id"]) == ["payment.created"]
    assert processes.status(payment["id"])["status"] == "pending"
