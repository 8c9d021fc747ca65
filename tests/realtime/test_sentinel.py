"""Redis behind sentinels: the primary dies, is cut off, comes back, or is replaced unnoticed."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Self

import pytest

from core.clock import SystemClock
from db_models import EventName
from realtime.announcer import Announcer
from realtime.changes import PRIMARY_SECONDS, Changes
from realtime.channel import Channel
from repository.events import StoredEvent
from repository.recent_callers import CALLERS_SECONDS
from tests.db.tables import Tables
from tests.faults.settled import count_unannounced
from tests.faults.storm import wait_until
from tests.realtime.clients import Watcher
from tests.support.parts import MissingPart, leave_out
from tests.support.sentinels import SentinelSet, frozen
from tests.support.service import SECRET_KEY, ServiceProcess, close_app, ready_app, settings_for

MODES = ("eventlet", "gevent", "threading")
HEARD_SECONDS = 30
"""Within which every watcher hears every event; the election takes two or three of them."""
LOAD_SECONDS_MIN = 2.0
PAUSE_SECONDS = 0.4
"""Between two payments: a connection may watch 100 of them."""

pytestmark = [pytest.mark.slow, pytest.mark.redis]


@pytest.fixture(scope="module")
def sentinels() -> Iterator[SentinelSet]:
    """One set for all tests of the module; each leaves it complete."""
    with ExitStack() as running:
        try:
            servers = running.enter_context(SentinelSet())
        except MissingPart as missing:
            leave_out(missing)
        yield servers


@pytest.fixture
def three(sentinels, tmp_path) -> Iterator[list[ServiceProcess]]:
    """Three processes of one service, one in each mode."""
    shared = {"REDIS_URL": sentinels.url, "DATABASE_URL": f"sqlite:///{tmp_path / 'all.sqlite3'}"}
    with ExitStack() as running:
        yield [
            running.enter_context(ServiceProcess(tmp_path / mode, ASYNC_MODE=mode, **shared))
            for mode in MODES
        ]


@dataclass
class Load:
    """Creates and confirms payments, each at another process, while each process has a watcher."""

    services: list[ServiceProcess]
    watchers: list[Watcher]
    txids: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    trace_statuses: Counter[int] = field(default_factory=Counter)
    """The answers of a route with a rate limit."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _errors: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        if self._errors:
            raise self._errors[0]

    def wait_for_more(self, payments: int = 3) -> None:
        """Wait until so many payments more are confirmed, at least LOAD_SECONDS_MIN."""
        least = len(self.txids) + payments
        time.sleep(LOAD_SECONDS_MIN)
        wait_until(lambda: len(self.txids) >= least or bool(self._errors), 60, "more confirmations")

    def _run(self) -> None:
        number = 0
        try:
            while not self._stop.is_set():
                self._buy(number)
                number += 1
                time.sleep(PAUSE_SECONDS)
        except BaseException as error:
            self._errors.append(error)

    def _buy(self, number: int) -> None:
        seller, other = (self.services[(number + n) % len(self.services)] for n in range(2))
        payment = seller.create()
        for watcher in self.watchers:
            watcher.watch(payment)
        status, _ = other.tell(payment)
        self.statuses[status] += 1
        trace = json.dumps({"what": "copied"}).encode()
        path = f"/payments/pix/{payment['id']}/trace"
        answer = other.request("POST", path, trace, {"Content-Type": "application/json"})
        self.trace_statuses[answer[0]] += 1
        self.txids.append(payment["id"])


def readiness(service: ServiceProcess) -> tuple[int, str]:
    """The status of /readyz and its word on Redis."""
    status, body = service.get("/readyz")
    return status, json.loads(body)["checks"]["redis"]


def wait_until_heard(watchers: list[Watcher], load: Load) -> None:
    """Every watcher hears of every confirmation, once."""
    names = {f"payment-confirmed-{txid}" for txid in load.txids}
    for watcher in watchers:
        wait_until(partial(_has_heard, watcher, names), HEARD_SECONDS, "all heard every event")
        assert Counter(watcher.names())["payment-confirmed"] == len(load.txids)


def _has_heard(watcher: Watcher, names: set[str]) -> bool:
    return names <= set(watcher.names())


def _is_ready(service: ServiceProcess) -> bool:
    return readiness(service) == (200, "ok")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fault", ["killed", "cut off"])
def test_a_primary_that_goes_away_loses_no_event(sentinels, three, fault, tmp_path):
    """Confirmations are answered meanwhile, and the old primary comes back as a replica."""
    sentinels.wait_until_complete()
    old = sentinels.primary()
    with ExitStack() as ending:
        watchers = [ending.enter_context(Watcher(one.url, ["websocket"])) for one in three]
        with Load(three, watchers) as load, ExitStack() as fault_ends:
            load.wait_for_more()
            if fault == "killed":
                old.kill()
                fault_ends.callback(old.start)
            else:
                fault_ends.enter_context(frozen(old))
            assert readiness(three[0])[0] == 503
            sentinels.wait_for_another(old)
            load.wait_for_more()
            for service in three:
                wait_until(partial(_is_ready, service), 20, "ready again")
            fault_ends.close()
            load.wait_for_more()
            sentinels.wait_until_complete()
            load.wait_for_more()
        wait_until_heard(watchers, load)
    assert set(load.statuses) == {200}
    assert set(load.trace_statuses) <= {204, 429}
    tables = Tables(three[0].environment["DATABASE_URL"])
    wait_until(lambda: count_unannounced(tables) == 0, 30, "every event is announced")
    for service in three:
        assert readiness(service) == (200, "ok")
        assert "Traceback" not in service.log()


@pytest.fixture
def stored_event() -> Callable[[str], StoredEvent]:
    """An event of a payment with this id."""

    def event(txid: str) -> StoredEvent:
        now = SystemClock().now()
        return StoredEvent(EventName.PAYMENT_CONFIRMED, 1, 1, txid, "paid", 1, now, "m")

    return event


class ListeningChannel:
    """A channel that listens in a thread, as a process does, until the `with` block ends."""

    def __init__(self, url: str, service: str = "one service") -> None:
        self.channel = Channel(url, service)
        self.heard: list[str | None] = []
        self.caught_up_from: list[Any] = []
        self._threads = [threading.Thread(target=one) for one in (self._listen, self._watch)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.caught_up_from, 10, "subscribed")
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.stop()
        for thread in self._threads:
            thread.join(5)
        assert not any(thread.is_alive() for thread in self._threads)

    def _listen(self) -> None:
        self.channel.listen(
            lambda event: self.heard.append(event.txid),
            self.caught_up_from.append,
            SystemClock().now,
        )

    def _watch(self) -> None:
        self.channel.watch_primary(SystemClock().now)


@pytest.fixture
def change_primary(sentinels) -> Iterator[Callable[[], None]]:
    """Let the sentinels name the other server, while both work and no client is disconnected.

    Afterwards the two are as before.
    """
    sentinels.wait_until_complete()
    old = sentinels.primary()
    [other] = [member for member in sentinels.members if member is not old]
    yield lambda: sentinels.name_primary(other)
    sentinels.name_primary(old)
    sentinels.wait_until_complete()


def test_a_listener_leaves_a_primary_that_lives_on_cut_off(sentinels, change_primary, stored_event):
    """Its connection works and its pings are answered, so only the sentinels can say it."""
    with ListeningChannel(sentinels.url) as near:
        change_at = SystemClock().now()
        change_primary()
        far = Channel(sentinels.url, "one service")
        far.publish(stored_event("missed"))
        wait_until(lambda: len(near.caught_up_from) == 2, 10, "subscribed at the new primary")
        assert near.heard == []
        assert near.caught_up_from[1] <= change_at + timedelta(seconds=1)
        far.publish(stored_event("heard"))
        wait_until(lambda: near.heard == ["heard"], 10, "the next event is heard")


def test_what_an_old_primary_took_does_not_count_as_announced(
    sentinels, change_primary, stored_event
):
    """A process that had moved to the new primary did not hear it."""
    publisher = Channel(sentinels.url, "one service")
    took = publisher.publish(stored_event("before"))
    assert publisher.reached({took}) is True
    change_primary()
    assert publisher.publish(stored_event("after")) == took  # its connection stands
    assert publisher.reached({took}) is False
    assert publisher.answers() is True  # it asks the sentinels and changes over
    assert publisher.reached({publisher.publish(stored_event("now"))}) is True


def test_without_most_of_the_sentinels_nothing_counts_as_announced_yet(sentinels, stored_event):
    """The one that answers may be cut off together with an old primary."""
    publisher = Channel(sentinels.url, "one service")
    took = publisher.publish(stored_event("before"))
    with frozen(*sentinels.sentinels[1:]):
        assert publisher.publish(stored_event("after")) == took
        assert publisher.reached({took}) is None
        assert publisher.answers() is False
    wait_until(lambda: publisher.reached({took}) is True, 10, "the sentinels answer again")


def test_the_relay_announces_once_more_what_an_old_primary_took(
    sentinels, change_primary, tmp_path, fresh_database, clock
):
    """So the processes at the new primary hear it, and its own watchers hear it once."""
    app = ready_app(
        settings_for(fresh_database("sqlite"), tmp_path, redis_url=sentinels.url), clock
    )
    client = app.test_client()
    announcer: Announcer = app.extensions["balcao"].announcer
    with ExitStack() as ending:
        ending.callback(close_app, app)
        with app.app_context():
            client.post("/payments/pix", json={"value": 10})
            announcer.flush()
            answer: Any = client.post("/payments/pix", json={"value": 10}).json
            payment = answer["payment"]
            client.post(f"/payments/pix/{payment['id']}/cancel")
            change_primary()
            assert announcer.flush() == 0
            far = ending.enter_context(ListeningChannel(sentinels.url, SECRET_KEY))
            assert announcer.relay() == 0  # the process that stored it has some seconds
            clock.advance(seconds=5)
            assert announcer.relay() == 1
            wait_until(lambda: far.heard == [payment["id"]], 10, "heard at the new primary")
            assert announcer.flush() == 1
            clock.advance(seconds=5)
            assert announcer.relay() == 0


class ListeningProcess:
    """A process that hears of changes of credentials, in threads, until the `with` block ends."""

    def __init__(self, url: str) -> None:
        self.forgotten = 0
        self._threads: list[threading.Thread] = []
        self.changes = Changes(url, ["one service"], self._start, self._forget)

    def __enter__(self) -> Self:
        wait_until(self.changes.hears, 10, "it hears")
        return self

    def __exit__(self, *_: object) -> None:
        self.changes.stop()
        for thread in self._threads:
            thread.join(5)
        assert not any(thread.is_alive() for thread in self._threads)

    def _start(self, function: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=function))
        self._threads[-1].start()

    def _forget(self) -> None:
        self.forgotten += 1


def test_nothing_is_reused_by_a_process_that_listens_at_an_old_primary(sentinels, change_primary):
    """Its connection works, but what others revoke is published at the new primary."""
    with ListeningProcess(sentinels.url) as near:
        before = near.forgotten
        change_primary()
        changed_at = time.monotonic()
        Changes(sentinels.url, ["one service"], near._start, near._forget).publish()
        wait_until(lambda: not near.changes.hears(), 10, "it knows that it does not hear")
        assert time.monotonic() - changed_at < CALLERS_SECONDS + 1.0
        wait_until(near.changes.hears, 10, "it hears at the new primary")
        assert near.forgotten > before, "what it remembered is gone"
        forgotten = near.forgotten
        far = Changes(sentinels.url, ["one service"], near._start, near._forget)
        far.publish()
        wait_until(lambda: near.forgotten > forgotten, 10, "the next change is heard")


def test_nothing_is_reused_while_most_sentinels_are_away(sentinels):
    """The one that answers may be cut off together with an old primary."""
    sentinels.wait_until_complete()
    with ListeningProcess(sentinels.url) as near:
        time.sleep(2 * PRIMARY_SECONDS)
        assert near.changes.hears(), "the word of the sentinels is renewed"
        forgotten = near.forgotten
        with frozen(*sentinels.sentinels[1:]):
            wait_until(lambda: not near.changes.hears(), 10, "nobody says who is the primary")
            time.sleep(PRIMARY_SECONDS)
            assert not near.changes.hears()
        wait_until(near.changes.hears, 10, "the sentinels answer again")
        assert near.forgotten > forgotten
