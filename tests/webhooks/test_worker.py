"""The worker asks the database for what may have changed, and each second for everything."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from config import parts_of
from webhooks import worker as worker_module
from webhooks.numbering import number_events


@pytest.fixture
def worker(app):
    """The worker of the app, whose thread does not run."""
    return parts_of(app).webhooks.worker


@pytest.fixture
def runs(worker, monkeypatch):
    """The steps of the worker in their order; nothing is sent."""
    steps: list[str] = []

    def number(keep_going: Any) -> int:
        steps.append("number")
        return number_events(keep_going)

    def send() -> int:
        steps.append("send")
        return 0

    monkeypatch.setattr(worker_module, "number_events", number)
    monkeypatch.setattr(worker.dispatcher, "run", send)
    return steps


def create_webhook(client):
    """Create a webhook of the demo merchant."""
    assert client.post("/webhooks", json={"url": "http://127.0.0.1:9/"}).status_code == 201


def test_an_event_without_receivers_is_numbered_and_nothing_is_looked_for(
    worker, runs, make_payment
):
    """Most merchants have no endpoint."""
    make_payment()
    assert worker._run_if_needed()
    assert runs == ["number"]
    assert not worker._run_if_needed()
    assert runs == ["number"]


def test_an_event_with_a_receiver_is_sent_by_the_same_run(worker, runs, client, make_payment):
    """The transaction that stores its delivery says so; no second run follows."""
    create_webhook(client)
    worker.run_once()
    runs.clear()
    make_payment()
    assert worker._run_if_needed()
    assert runs == ["number", "send"]
    assert not worker._run_if_needed()


def test_a_delivery_or_a_free_slot_numbers_nothing(worker, runs, client):
    """A ping is stored by its request; a chain that ends leaves a slot."""
    create_webhook(client)
    assert worker._run_if_needed()
    worker.dispatcher.on_free()
    assert worker._run_if_needed()
    assert runs == ["send", "send"]


def test_events_that_another_process_numbered_are_sent_here_too(app, worker, runs, make_payment):
    """It may have no slot for them."""
    make_payment()
    with app.app_context():
        assert number_events() == 1
    assert worker._run_if_needed()
    assert runs == ["number", "send"]


def test_each_second_both_steps_run(worker, runs):
    """For events whose process died, and for deliveries that have become due."""
    assert not worker._run_if_needed()
    worker._poll_at = time.monotonic()
    assert worker._run_if_needed()
    assert runs == ["number", "send"]
    assert not worker._run_if_needed()
    assert 0 < worker._poll_at - time.monotonic() <= worker_module.POLL_SECONDS


def test_events_do_not_put_off_what_is_looked_for_each_second(
    app, worker, runs, make_payment, monkeypatch
):
    """A busy process wakes for each event, and must still notice what has become due."""
    monkeypatch.setattr(worker_module, "POLL_SECONDS", 0.2)
    stop = threading.Event()

    def make_busy() -> None:
        while not stop.wait(0.03):
            worker.wake_numbering()

    monkeypatch.setattr(worker, "_attempt", lambda _step, work: work() or 1)
    busy = threading.Thread(target=make_busy)
    worker.start()
    busy.start()
    try:
        time.sleep(1.0)
    finally:
        stop.set()
        busy.join()
        worker.stop()
    assert runs.count("send") >= 2
    assert runs.count("number") > runs.count("send")
