"""While PostgreSQL is slow or silent, a process with a hub goes on, and each wait has an end."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time

import pytest
import sqlalchemy as sa

from core.runtime.setting_urls import checked_database_url
from repository.driver_errors import is_away
from repository.hosts import use_hosts
from tests.support.ports import free_port
from tests.support.service import ROOT

pytestmark = pytest.mark.postgres

MODES = ["eventlet", "gevent", "threading"]
PAUSE_SECONDS = 0.7
"""Longer than any pause of a busy machine, shorter than each wait that is measured."""


@pytest.mark.parametrize("mode", MODES)
def test_waits_stop_no_other_work_and_end(fresh_database, mode):
    """psycopg waits in C unless it is told otherwise, and would stop each greenlet meanwhile."""
    url = checked_database_url(fresh_database("postgres"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        run = subprocess.run(
            [sys.executable, "-m", "tests.db.postgres_waits", mode, url, port],
            cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    waits = json.loads(run.stdout)
    assert waits.pop("hub") == mode
    for name, wait in waits.items():
        assert wait["pause"] < PAUSE_SECONDS, (name, waits)
        assert wait["seconds"] < 5, (name, waits)
    assert waits["slow"]["result"] == 1
    assert waits["big"]["result"] == 20_000_000
    for name in ("limit", "terminated", "silent"):
        assert waits[name]["is_away"] is True, (name, waits)
    assert waits["steady"]["result"] == 6, "the limit of a second is for silence alone"
    assert waits["steady"]["seconds"] > 1.5
    assert waits["beside"]["result"] == list(range(8))
    assert waits["limit"]["seconds"] > 0.9
    assert waits["silent"]["seconds"] > 1.9
    assert (waits["after the limit"]["result"], waits["after the end"]["result"]) == (7, 8)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_requests_are_answered_while_another_one_waits_for_its_row(serve, fresh_database, mode):
    """One locked row must not hold up every payer."""
    url = fresh_database("postgres")
    service = serve(DATABASE_URL=url, ASYNC_MODE=mode)
    locked, other = service.create(), service.create()
    answers = []
    bank = threading.Thread(target=lambda: answers.append(service.tell(locked)))
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        lock = sa.text("SELECT id FROM payments WHERE txid = :txid FOR UPDATE")
        connection.execute(lock, {"txid": locked["id"]})
        bank.start()
        slowest = 0.0
        end = time.monotonic() + 2
        while (began := time.monotonic()) < end:
            assert service.get(f"/payments/pix/{other['id']}/status")[0] == 200
            slowest = max(slowest, time.monotonic() - began)
        assert service.tell(other)[0] == 200
        assert answers == []
    bank.join(20)
    assert slowest < 1
    assert answers[0][0] == 200


def test_only_a_refusal_that_may_pass_counts_as_away(databases):
    """A start waits for a database that is away, and says at once that a name is wrong."""
    good = databases.server("postgres")
    wrong = {
        "no such database": (good.set(database="balcao_nothing"), False),
        "no such user": (good.set(username="balcao_nobody"), False),
        "nobody listens": (good.set(host="127.0.0.1", port=free_port()), True),
    }
    for name, (url, may_pass) in wrong.items():
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        use_hosts(engine)
        with pytest.raises(sa.exc.DBAPIError) as refused:
            engine.connect()
        assert is_away(refused.value) is may_pass, (name, refused.value)
