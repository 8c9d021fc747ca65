"""Free connections go to those who have waited longest, and none is lost."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from sqlalchemy import exc

from repository.connections import engine_options
from repository.fair_pool import FairPool

ORDER = """
from server import async_mode
async_mode.patch("{mode}")
import sqlite3, threading, time
from repository.fair_pool import FairPool

order = []

def take(name):
    connection = pool.connect()
    order.append(name)
    connection.close()

connect = lambda: sqlite3.connect(":memory:", check_same_thread=False)
pool = FairPool(connect, pool_size=1, max_overflow=0)
used = pool.connect()
threads = [threading.Thread(target=take, args=(name,)) for name in ("first", "second")]
for thread in threads:
    thread.start()
    time.sleep(0.05)
used.close()
take("late")  # before the hub has run anything else
for thread in threads:
    thread.join()
print(*order, pool.checkedin())
"""

INTERRUPTED = """
from server import async_mode
async_mode.patch("eventlet")
import eventlet, sqlite3
from repository.fair_pool import FairPool

pool = FairPool(lambda: sqlite3.connect(":memory:"), pool_size=1, max_overflow=0)
ends = []

def wait():
    try:
        pool.connect().close()
        ends.append("served")
    except eventlet.greenlet.GreenletExit:
        ends.append("ended")

used = pool.connect()
waiting, served = eventlet.spawn(wait), eventlet.spawn(wait)
eventlet.sleep(0.01)
used.close()  # to the first, which is ended before it runs
waiting.kill()
served.wait()
used = pool.connect()
waiting, served = eventlet.spawn(wait), eventlet.spawn(wait)
eventlet.sleep(0.01)
waiting.kill()  # while it waits
used.close()
served.wait()
print(*ends, pool.checkedin())
"""


INTERRUPTED_AT_EACH_LINE = """
from server import async_mode
async_mode.patch("{mode}")
import sqlite3, sys, threading, time
from repository import fair_pool

def interrupt(frame, event, _argument):
    global lines
    if frame.f_code.co_filename != fair_pool.__file__:
        return None
    if event == "line":
        lines += 1
        if lines == moment:
            sys.settrace(None)
            forgotten.close()
    return interrupt

def take():
    sys.settrace(interrupt)
    try:
        pool.connect().close()
        ends.append("served")
    except Exception as error:
        ends.append(repr(error))
    finally:
        sys.settrace(None)

connect = lambda: sqlite3.connect(":memory:", check_same_thread=False)
ends, before_waiting, moment = [], 0, 0
while moment <= before_waiting:
    moment += 1
    lines = 0
    pool = fair_pool.FairPool(connect, pool_size=1, max_overflow=0, timeout=2)
    forgotten = pool.connect()
    thread = threading.Thread(target=take)
    thread.start()
    time.sleep(0.02)
    before_waiting = max(before_waiting, lines if thread.is_alive() else moment)
    forgotten.close()
    thread.join()
    ends.append(pool.checkedin())
assert moment > 10, moment
print(*sorted(set(map(str, ends))))
"""


def outcome_of(script):
    """What the script prints."""
    command = [sys.executable, "-W", "ignore", "-c", script]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return run.stdout.split()


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_a_late_request_takes_no_connection_that_others_wait_for(mode):
    """SQLAlchemy's own pool lets it pass, and sends the woken one behind all others."""
    assert outcome_of(ORDER.format(mode=mode)) == ["first", "second", "late", "1"]


def test_an_interrupted_request_passes_its_connection_on():
    """A greenlet may be ended after it was handed a connection and before it runs."""
    assert outcome_of(INTERRUPTED) == ["ended", "served", "ended", "served", "1"]


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_the_garbage_collector_may_return_a_connection_at_any_moment(mode):
    """A forgotten connection comes back in the middle of a request for one, in the same thread."""
    assert outcome_of(INTERRUPTED_AT_EACH_LINE.format(mode=mode)) == ["1", "served"]


def test_no_connection_is_lost_if_requests_give_up_at_any_moment():
    """Threads wait for a millisecond at most, and are often served at that very moment."""
    pool = pool_of(2, timeout=0.001)
    served, given_up = [], []

    def work(seed):
        chance = random.Random(seed)
        for _ in range(200):
            try:
                connection = pool.connect()
            except exc.TimeoutError:
                given_up.append(seed)
                continue
            time.sleep(chance.uniform(0, 0.0006))
            connection.close()
            served.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pool.checkedin() == 2
    assert served
    assert given_up
    pool.connect().close()


def test_a_wait_that_ends_says_so():
    """The request becomes a 503, and the connection is used by the next one."""
    pool = pool_of(1, timeout=0.01)
    used = pool.connect()
    with pytest.raises(exc.TimeoutError):
        pool.connect()
    used.close()
    assert pool.checkedin() == 1
    pool.connect().close()


@pytest.mark.parametrize("url", ["mysql+pymysql://a@b/c", "postgresql+psycopg://a@b/c"])
def test_servers_have_the_fair_pool(url):
    """With 96 clients the slowest of a hundred waited seven times as long in SQLAlchemy's."""
    assert engine_options(url, green=True)["poolclass"] is FairPool


def pool_of(size, timeout):
    """A pool of connections that do nothing."""

    def connect() -> Any:
        return sqlite3.connect(":memory:", check_same_thread=False)

    return FairPool(
        connect,
        pool_size=size,
        max_overflow=0,
        timeout=timeout,
    )
