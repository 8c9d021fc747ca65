"""ROLE: one process serves, another one runs the jobs; together they are the service."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server.roles import JOBS_OF_EACH_PROCESS
from tests.realtime.clients import Watcher
from tests.support.service import ServiceProcess

WITHIN_SECONDS = 30.0


@dataclass(frozen=True)
class Halves:
    """The two processes; the worker is not started yet."""

    web: ServiceProcess
    worker: ServiceProcess
    database: Path


@pytest.fixture
def halves(serve, redis_url, tmp_path) -> Iterator[Halves]:
    """One database and one Redis, a process for each role."""
    database = tmp_path / "shared.sqlite3"
    shared = {"REDIS_URL": redis_url, "DATABASE_URL": f"sqlite:///{database}"}
    web = serve(instance=tmp_path / "web", ROLE="web", **shared)
    shared["PUBLIC_URL"] = web.url
    worker = ServiceProcess(tmp_path / "worker", ROLE="worker", **shared)
    yield Halves(web, worker, database)
    worker.kill()


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    limit = time.monotonic() + WITHIN_SECONDS
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.05)


def pass_deadline(database: Path, payment: Mapping[str, Any]) -> None:
    """Move a payment into the past, so that it is due two minutes ago."""
    with closing(sqlite3.connect(database, timeout=20)) as books, books:
        books.execute(
            "UPDATE payments SET created_at = datetime('now', '-9 minutes'),"
            " expires_at = datetime('now', '-2 minutes') WHERE txid = ?",
            (payment["id"],),
        )


def jobs_of(service: ServiceProcess) -> set[str]:
    """The jobs that have run in the process."""
    text = service.get("/metrics")[1].decode()
    counted = re.findall(r'^balcao_job_runs_total{job="([^"]+)"} ([0-9.]+)$', text, re.M)
    return {job for job, runs in counted if float(runs)}


def test_one_process_serves_and_the_other_one_works(halves: Halves):
    """No job of a web process touches a payment; the worker's events reach the web's watchers."""
    web, worker = halves.web, halves.worker
    payment = web.create()
    with Watcher(web.url, ["websocket"]) as bob:
        bob.watch(payment)
        wait_until(lambda: "flush" in jobs_of(web))
        pass_deadline(halves.database, payment)
        time.sleep(3.0)  # the sweep of a process with all roles would have stored the expiry
        assert bob.names() == []
        assert jobs_of(web) <= JOBS_OF_EACH_PROCESS
        worker.start()
        assert bob.wait_for("payment-expired")["status"] == "expired"
    assert web.payment(payment["id"])["status"] == "expired"
    wait_until(lambda: {"sweep", "relay", "flush"} <= jobs_of(worker))

    # A worker answers its operator, and nobody else.
    assert worker.get("/healthz")[0] == worker.get("/readyz")[0] == 200
    for path in ("/", "/docs", f"/payments/pix/{payment['id']}", "/socket.io/?EIO=4", "/bank/"):
        assert worker.get(path)[0] == 404, path
    assert "Traceback" not in web.log() + worker.log()
    assert worker.stop() == web.stop() == 0


def test_a_web_process_alone_says_that_nobody_sweeps(serve, tmp_path):
    """An operator who forgot the worker must learn it from the probe, not from a shop."""
    web = serve(ROLE="web")
    payment = web.create()
    pass_deadline(tmp_path / "instance" / "balcao.sqlite3", payment)
    status, body = web.get("/readyz")
    assert (status, b"The sweep is" in body) == (503, True), body
