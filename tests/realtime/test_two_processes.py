"""Several processes over Redis: one takes the money, another has the watcher, Redis goes away."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.realtime.clients import PATIENCE_SECONDS, QUIET_SECONDS, Watcher
from tests.support.servers import PrivateServer
from tests.support.service import ServiceProcess

MODES = ("eventlet", "gevent", "threading")
RELAY_SECONDS = 20
PROMPT_SECONDS = 2.5  # far from a busy machine's delays, and far from redis-py's own retries


@dataclass(frozen=True)
class Pair:
    """Two processes of one service, and the Redis between them."""

    redis: PrivateServer
    one: ServiceProcess
    two: ServiceProcess
    database: Path

    @contextmanager
    def without_redis(self) -> Iterator[None]:
        """Redis dies at the beginning of the block and is back at its end."""
        self.redis.kill()
        try:
            yield
        finally:
            self.redis.start()

    def wait_until_all_is_announced(self) -> None:
        """Wait until the relay has nothing left to announce, now or later."""
        limit = time.monotonic() + RELAY_SECONDS
        with closing(sqlite3.connect(self.database)) as books:
            question = "SELECT count(*) FROM payment_events WHERE relay_at IS NOT NULL"
            while books.execute(question).fetchone() != (0,):
                assert time.monotonic() < limit, "the relay has not announced everything"
                time.sleep(0.1)


@pytest.fixture(scope="module", params=MODES)
def pair(
    request: pytest.FixtureRequest,
    module_server: Callable[[str], PrivateServer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    """One pair for each mode, for tests that watch payments of their own."""
    folder = tmp_path_factory.mktemp(f"pair-{request.param}")
    redis = module_server("redis")
    database = folder / "shared.sqlite3"
    shared = {
        "ASYNC_MODE": request.param,
        "REDIS_URL": redis.url,
        "DATABASE_URL": f"sqlite:///{database}",
    }
    with (
        ServiceProcess(folder / "one", **shared) as one,
        ServiceProcess(folder / "two", **shared) as two,
    ):
        yield Pair(redis, one, two, database)


@contextmanager
def _watching(service: ServiceProcess, payment: dict[str, Any]) -> Iterator[Watcher]:
    with Watcher(service.url, ["websocket"]) as bob:
        bob.watch(payment)
        yield bob


def _both_names(payment: dict[str, Any]) -> list[str]:
    return ["payment-confirmed", f"payment-confirmed-{payment['id']}"]


def _readiness(service: ServiceProcess) -> tuple[int, str]:
    status, body = service.get("/readyz")
    return status, json.loads(body)["checks"]["redis"]


def _cancel_one_more(bob: Watcher, at: ServiceProcess) -> list[str]:
    """Let a client hear one more payment's cancellation; return the names of its events.

    A process announces before it answers, and Redis and the client's connection keep the order.
    So all that came of earlier events stands ahead of these names.
    """
    last = at.create()
    bob.watch(last)
    assert at.request("POST", f"/payments/pix/{last['id']}/cancel")[0] == 200
    bob.wait_for(f"payment-cancelled-{last['id']}")
    return ["payment-cancelled", f"payment-cancelled-{last['id']}"]


@pytest.mark.redis
def test_a_watcher_hears_a_confirmation_that_another_process_took(pair):
    """Behind a load balancer, the bank and the shopper rarely reach the same process."""
    one, two = pair.one, pair.two
    payment, other = one.create(), two.create()
    with _watching(one, payment) as bob, _watching(two, other) as charlie:
        assert two.tell(payment)[0] == 200
        message = bob.wait_for(f"payment-confirmed-{payment['id']}")
        assert (message["status"], message["sequence"]) == ("confirmed", 2)
        # Each cancellation takes the way over Redis, behind what Redis brought before.
        last = _cancel_one_more(bob, at=two)
        assert bob.names() == [*_both_names(payment), *last]
        last = _cancel_one_more(charlie, at=one)
        assert charlie.names() == last


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.parametrize("pair", MODES[:2], indirect=True)
def test_redis_away_delays_the_other_processes_watchers_and_nobody_else(pair):
    """Without Redis, payments work as before, and no event is lost or repeated."""
    one, two = pair.one, pair.two
    near, far = one.create(), one.create()
    with _watching(one, near) as bob, _watching(two, far) as charlie:
        assert _readiness(one) == (200, "ok")
        with pair.without_redis():
            for payment in (near, far):
                started = time.monotonic()
                assert one.tell(payment)[0] == 200
                assert time.monotonic() - started < PROMPT_SECONDS
            bob.wait_for(f"payment-confirmed-{near['id']}")
            status, reason = _readiness(one)
            assert (status, "Redis" in reason) == (503, True)
            meanwhile = _cancel_one_more(charlie, at=two)
            assert charlie.names() == meanwhile
        charlie.wait_for(f"payment-confirmed-{far['id']}")
        pair.wait_until_all_is_announced()
        last = _cancel_one_more(bob, at=two)
        assert bob.names() == [*_both_names(near), *last]
        last = _cancel_one_more(charlie, at=one)
        assert charlie.names() == [*meanwhile, *_both_names(far), *last]
        assert _readiness(one) == (200, "ok")


@pytest.mark.slow
@pytest.mark.redis
def test_listening_recovers_soon_after_redis_came_back(pair):
    """The pause between attempts must not grow while Redis is down."""
    one, two = pair.one, pair.two
    before, after = one.create(), one.create()
    with _watching(two, before) as bob:
        with pair.without_redis():
            time.sleep(8)  # long enough for a growing pause to have grown
        time.sleep(1.5)
        assert one.tell(before)[0] == 200
        bob.wait_for(f"payment-confirmed-{before['id']}")
        bob.watch(after)
        started = time.monotonic()
        assert one.tell(after)[0] == 200
        bob.wait_for(f"payment-confirmed-{after['id']}")
        assert time.monotonic() - started < PROMPT_SECONDS


@pytest.mark.slow
@pytest.mark.redis
def test_two_services_on_one_redis_do_not_hear_each_other(serve, private_server, tmp_path):
    """Numbered databases share their channels: another shop's events must stay its own."""
    redis = private_server("redis")
    ours = serve(instance=tmp_path / "ours", REDIS_URL=redis.url)
    theirs = serve(instance=tmp_path / "theirs", REDIS_URL=redis.url, SECRET_KEY="t" * 48)
    beside = serve(instance=tmp_path / "beside", REDIS_URL=redis.url.replace("/0", "/1"))
    payment = ours.create()
    with _watching(ours, payment), Watcher(theirs.url) as charlie, Watcher(beside.url) as dave:
        for stranger, service in ((charlie, theirs), (dave, beside)):
            stranger.watch(service.create())
        with _published_to(redis.url) as channels:
            assert ours.tell(payment)[0] == 200
            assert theirs.tell(theirs.create())[0] == 200
            assert beside.tell(beside.create())[0] == 200
            assert len(channels()) == 3
        time.sleep(QUIET_SECONDS)
        assert charlie.names() == []
        assert dave.names() == []


@contextmanager
def _published_to(url: str) -> Iterator[Callable[[], set[bytes]]]:
    """The names of the channels that got messages during the block."""
    from redis import Redis

    with Redis.from_url(url) as client, client.pubsub() as everything:
        everything.psubscribe("*")
        everything.get_message(timeout=2)

        def channels() -> set[bytes]:
            names = set()
            while (message := everything.get_message(timeout=1)) is not None:
                names.add(message["channel"])
            return names

        yield channels


@pytest.mark.slow
@pytest.mark.redis
def test_a_process_that_hears_no_others_tells_who_asked(pair):
    """Such a page polls as it does without a socket, until events come at once again."""
    payment = pair.one.create()
    question = {"payment_id": payment["id"], "late": True}
    with _watching(pair.one, pair.one.create()) as charlie, _asking(pair.one, question) as bob:
        with pair.without_redis():
            assert bob.wait_for_data("events-late", {"late": True})
            with _asking(pair.one, question, is_deferred=True):
                pass
        assert bob.wait_for_data("events-late", {"late": False})
        assert "events-late" not in charlie.names()


@contextmanager
def _asking(
    service: ServiceProcess, question: dict[str, Any], *, is_deferred: bool = False
) -> Iterator[Watcher]:
    """A client that asked to hear when events come late, and was answered whether they do."""
    limit = time.monotonic() + PATIENCE_SECONDS
    with Watcher(service.url, ["websocket"]) as bob:
        while (answer := bob.ask("watch", question))["late"] is not is_deferred:
            assert time.monotonic() < limit, answer
            time.sleep(0.05)  # the first client of a process begins the subscription
        yield bob
