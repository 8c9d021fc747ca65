"""A process that is stopped inside the transaction that numbers events holds up nobody for long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from db_models import FeedEntry, PaymentEvent
from repository.connections import IDLE_TRANSACTION_SECONDS
from tests.db.tables import Tables
from tests.support.plugin import SERVERS
from tests.support.service import ROOT, BankInTest, close_app, ready_app, settings_for
from webhooks.numbering import number_events

IDLE_SECONDS = 3
"""The limit in this test, for the process that is stopped."""
NUMBERER = f"""
import os, signal, sys
from pathlib import Path
from core.clock import SystemClock
from core.errors import BalcaoError
from repository import connections, feed
from tests.support.service import ready_app, settings_for
from webhooks.numbering import number_events

connections.IDLE_TRANSACTION_SECONDS = {IDLE_SECONDS}
number = feed.Feed.number

def number_and_stop(self, events, last_position):
    entries = number(self, events, last_position)
    os.kill(os.getpid(), signal.SIGSTOP)
    return entries

feed.Feed.number = number_and_stop
app = ready_app(settings_for(sys.argv[1], Path(sys.argv[2])), SystemClock())
with app.app_context():
    try:
        print("numbered", number_events())
    except BalcaoError as error:
        print("raised", error.code)
"""


@pytest.fixture(params=SERVERS)
def url(request, fresh_database):
    """A new database on each server."""
    return fresh_database(request.param)


@pytest.fixture
def app(url, tmp_path, clock):
    """The process that goes on."""
    app = ready_app(settings_for(url, tmp_path), clock)
    yield app
    close_app(app)


@contextmanager
def stopped_numberer(url, folder):
    """A process that has stopped itself with SIGSTOP; it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", NUMBERER, url, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "the process ended before it numbered"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def positions(tables):
    """The positions and events of the feed, in order."""
    query = sa.select(FeedEntry.position, FeedEntry.event_id).order_by(FeedEntry.position)
    return [tuple(row) for row in tables.rows(query)]


def test_others_go_on_and_the_database_ends_its_transaction(
    app, client, make_payment, url, tmp_path, clock
):
    """Payments never wait; numbering looks in without waiting, and goes on after the limit."""
    tables = Tables(url)
    bank = BankInTest(client, clock)
    first = make_payment()
    folder = tmp_path / "other"
    folder.mkdir()
    with stopped_numberer(url, folder) as numberer:
        assert bank.confirm(make_payment()).status_code == 200
        assert bank.confirm(first).status_code == 200
        # Nothing of this waited: the stopped process still holds the counter.
        with app.app_context():
            assert number_events() == 0
        assert positions(tables) == []

        limit = time.monotonic() + 3 * IDLE_SECONDS
        numbered = 0
        while numbered == 0 and time.monotonic() < limit:
            with app.app_context():
                numbered = number_events()
        assert numbered == 4
        before = positions(tables)

        numberer.send_signal(signal.SIGCONT)
        printed, _ = numberer.communicate(timeout=10)
    assert printed.split() == ["raised", "service-unavailable"]
    assert positions(tables) == before
    assert [position for position, _ in before] == [1, 2, 3, 4]
    unnumbered = sa.select(PaymentEvent.id).where(PaymentEvent.unnumbered.is_(True))
    assert tables.rows(unnumbered) == []


def test_the_limit_of_the_service_is_shorter_than_a_lease():
    """A stopped process must not hold up deliveries for longer than a killed one."""
    from repository.webhook_deliveries import LEASE

    assert 5 <= IDLE_TRANSACTION_SECONDS < LEASE.total_seconds()
