"""Requests take turns by the client's own address, also behind a proxy."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from benchmarks.cases.turns import compare
from benchmarks.in_process import Service
from config import parts_of
from core.clock import SystemClock
from core.runtime.turns import AT_ONCE_MAX, Turn
from tests.support.service import close_app, ready_app, settings_for

BUSY, OTHER = "203.0.113.7", "203.0.113.8"


@pytest.fixture
def app(databases, tmp_path, clock):
    """The service behind one proxy."""
    with databases.fresh("sqlite") as url:
        app = ready_app(settings_for(url, tmp_path, trusted_proxies=1), clock)
        yield app
        close_app(app)


def test_only_the_client_that_has_all_its_turns_waits(app):
    """The proxy's address says nothing about who sent a request."""
    turns = parts_of(app).turns
    turns._counted_seconds = 30.0
    statuses: list[int] = []

    def get(path: str, client: str) -> None:
        answer = app.test_client().get(path, headers={"X-Forwarded-For": client})
        statuses.append(answer.status_code)

    with ExitStack() as stack:
        for _ in range(AT_ONCE_MAX):
            stack.enter_context(Turn(turns, BUSY))
        get("/login", OTHER)
        assert statuses == [200]
        thread = threading.Thread(target=get, args=("/login", BUSY))
        thread.start()
        thread.join(0.3)
        assert turns.waiting == 1
    thread.join(10)
    assert statuses == [200, 200]
    assert turns.clients == 0


def test_the_benchmark_compares_the_same_requests(databases, tmp_path):
    """Both ways answer; how long they take is no test's business."""
    with databases.fresh("sqlite") as url:
        app = ready_app(settings_for(url, tmp_path), SystemClock())
        outcomes = compare(Service(app), rounds=2)
        close_app(app)
    assert [outcome.unit for outcome in outcomes] == ["ms of CPU"] * 2
    assert all(outcome.ours > 0 and outcome.bare > 0 for outcome in outcomes)
