"""A database that is away while the process starts: it is waited for, and then named."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from config import ConfigurationError
from core.errors import DatabaseUnavailable
from server.schema import DatabaseAway, wait_for_database
from tests.process.starting import refused_start
from tests.support.cutting_proxy import CuttingProxy
from tests.support.ports import free_port
from tests.support.service import READY_WITHIN_SECONDS, ServiceProcess

ENGINES = [pytest.param(engine, marks=getattr(pytest.mark, engine)) for engine in
           ("mysql", "postgres")]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_a_database_that_comes_later_is_waited_for(fresh_database, tmp_path, engine):
    """After a power cut everything starts at once, and the database is not the first."""
    url = sa.make_url(fresh_database(engine))
    assert url.host is not None
    assert url.port is not None
    port = free_port()
    later = url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
    service = ServiceProcess(tmp_path / "instance", DATABASE_URL=later)
    try:
        service.start(wait=False)
        limit = time.monotonic() + READY_WITHIN_SECONDS * 2
        while "start.waiting" not in service.log():
            assert time.monotonic() < limit, service.log()
            time.sleep(0.05)
        with CuttingProxy(url.host, url.port, port):
            service.wait_until_ready()
            assert service.create()["status"] == "pending"
            service.kill()
        assert "Traceback" not in service.log()
    finally:
        service.kill()


@pytest.mark.parametrize("scheme", ["mysql", "postgresql"])
@pytest.mark.parametrize("name", ["DATABASE_URL", "BANK_DATABASE_URL"])
def test_a_database_that_stays_away_is_named_after_the_wait(tmp_path, name, scheme):
    """One line for each try, without the password, and one sentence at the end."""
    url = f"{scheme}://bob:hunter2hunter2@127.0.0.1:1/x"
    started = time.monotonic()
    ended = refused_start(tmp_path, {name: url, "START_WAIT_SECONDS": "2"})
    assert time.monotonic() - started > 2
    *tries, sentence = ended.stderr.splitlines()
    assert ended.status == 1
    assert len(tries) >= 2
    for line in tries:
        assert "start.waiting" in line
    assert sentence.startswith("Balcão cannot start: ")
    assert ("bank's" in sentence) == (name == "BANK_DATABASE_URL")
    assert "hunter2" not in ended.stderr


def test_only_a_database_that_is_away_is_waited_for():
    """A wrong password does not become right by waiting."""
    calls: list[Exception] = [
        DatabaseAway("it is away."),
        DatabaseUnavailable(),
        ConfigurationError("it is older."),
    ]

    def prepare() -> None:
        raise calls.pop(0)

    with pytest.raises(ConfigurationError, match="it is older"):
        wait_for_database(prepare, 20)
    assert calls == []
