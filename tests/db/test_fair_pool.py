"""Free connections go to those who have waited longest, and none is lost."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
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


AWAY = """
from server import async_mode
async_mode.patch("{mode}")
import os, sqlite3, threading, time
from repository.fair_pool import FairPool

def connect():
    connecting.append(1)
    while is_away and not gives_up:
        time.sleep(0.01)
    if is_away:
        raise sqlite3.OperationalError("away")
    return sqlite3.connect(":memory:", check_same_thread=False)

def take():
    try:
        connection = pool.connect()
    except Exception as error:
        ends.append(str(error).split()[0])
    else:
        ends.append("served")
        connection.close()

pool = FairPool(connect, pool_size=2, max_overflow=0, timeout=60)
connecting, ends, is_away, gives_up = [], [], True, False
threads = [threading.Thread(target=take) for _ in range(6)]
for thread in threads:
    thread.start()
while len(connecting) < 2 or len(pool._pool._waiters) < 4:
    time.sleep(0.01)
assert len(connecting) == 2, connecting
gives_up = True
limit = time.monotonic() + 15
while len(ends) < 6 and time.monotonic() < limit:
    time.sleep(0.01)
is_away = False
take()
print(*ends, flush=True)
os._exit(0)
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


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_a_connect_that_fails_lets_the_first_waiter_connect(mode):
    """The waiters waited for the pool's whole timeout, beside places that nobody used."""
    assert outcome_of(AWAY.format(mode=mode)) == ["away"] * 6 + ["served"]


def test_open_connections_are_used_before_the_database_is_asked_for_another():
    """It may refuse new ones because of its limit, and a refusal must not be the next answer."""
    server = FlakyServer(failures=0, seed=1)
    pool = FairPool(server.connect, pool_size=3, max_overflow=0)
    used = pool.connect()
    server.failures = 2
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError):
            pool.connect()
    used.close()
    server.failures = 100
    for _ in range(4):
        pool.connect().close()
    used = pool.connect()
    with pytest.raises(sqlite3.OperationalError):
        pool.connect()
    server.failures = 0
    others = [pool.connect() for _ in range(2)]
    assert (server.open_max, pool.checkedout()) == (3, 3)
    for connection in (used, *others):
        connection.close()


def test_connects_that_fail_leave_no_waiter_behind_and_open_no_connection_too_many():
    """The database comes back while many threads wait; each round has a new pool."""
    for seed in range(30):
        server = FlakyServer(failures=seed % 7, seed=seed)
        pool = FairPool(server.connect, pool_size=2, max_overflow=0, timeout=10)
        ends: list[str] = []

        def work(pool=pool, ends=ends):
            try:
                connection = pool.connect()
            except (sqlite3.OperationalError, exc.TimeoutError) as error:
                ends.append(str(error))
                return
            time.sleep(0.001)
            connection.close()
            ends.append("served")

        threads = [threading.Thread(target=work) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(ends) == ["away"] * (seed % 7) + ["served"] * (12 - seed % 7)
        assert server.open_max <= 2
        pool.dispose()
        assert server.open_count == 0


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


class FlakyServer:
    """Connections of which the first ones fail, and a count of those that are open."""

    def __init__(self, failures: int, seed: int) -> None:
        self.failures = failures
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self.open_count = self.open_max = 0

    def connect(self) -> Any:
        """A connection, or sqlite3.OperationalError after a short time."""
        with self._lock:
            fails = self.failures > 0
            self.failures -= 1
            self.open_count += 1  # a connect that fails occupies a place until then
            self.open_max = max(self.open_max, self.open_count)
        time.sleep(self._chance.uniform(0, 0.003))
        if fails:
            self._end()
            raise sqlite3.OperationalError("away")
        connection = sqlite3.connect(":memory:", check_same_thread=False, factory=CountedConnection)
        connection.on_close = self._end
        return connection

    def _end(self) -> None:
        with self._lock:
            self.open_count -= 1


class CountedConnection(sqlite3.Connection):
    """A connection that tells when it is closed."""

    on_close: Callable[[], None]

    def close(self) -> None:
        """Close it and say so."""
        super().close()
        self.on_close()


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
