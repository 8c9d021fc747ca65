"""The faults of a soak, one after the other: process, Redis, database, provider."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import sqlalchemy as sa

from benchmarks.soak.stage import Stage
from tests.support.databases import server_address
from tests.support.sentinels import SentinelSet, frozen
from tests.support.servers import PrivateServer

FAULT_SECONDS_MAX = 120


@dataclass(frozen=True)
class FaultSeconds:
    """How long each fault lasts."""

    process: float = 2
    redis_killed: float = 5
    redis_frozen: float = 5
    database_frozen: float = 4
    bank_killed: float = 8


class SoakFaults:
    """Runs one fault after the other, each `every` seconds, in a thread."""

    def __init__(self, stage: Stage, every: float, seconds: FaultSeconds) -> None:
        self._stage = stage
        self._every = every
        self._seconds = seconds
        self._stopped = threading.Event()
        self._idle = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._kills = 0
        self.log: list[str] = []
        """Name and time of each fault, in seconds since the start."""
        self.failures: list[str] = []

    def names(self) -> list[str]:
        """The faults in their order."""
        return [name for name, _ in self._faults()]

    def start(self) -> None:
        """Begin to count the time until the first fault."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no further fault; wait for the end of the last one."""
        self._stopped.set()
        self._idle.wait(FAULT_SECONDS_MAX)

    def close(self) -> None:
        """End the thread, and with it the servers that it started again.

        The kernel ends a private server with the thread that started it.
        """
        self._closed.set()
        self._thread.join(FAULT_SECONDS_MAX)

    def _faults(self) -> list[tuple[str, Callable[[], None]]]:
        faults = [
            ("kill -9 of a process", self._kill_process),
            ("Redis killed", self._kill_redis),
            ("Redis frozen", self._freeze_redis),
            ("provider killed", self._kill_bank),
        ]
        if self._stage.database is not None:
            faults[1:1] = [("database connections killed", self._kill_connections)]
            faults[3:3] = [("database frozen", self._freeze_database)]
        return faults

    def _run(self) -> None:
        self._run_faults()
        self._idle.set()
        self._closed.wait()

    def _run_faults(self) -> None:
        began_at = time.monotonic()
        number = 0
        while not self._stopped.wait(self._every):
            name, fault = self._faults()[number % len(self._faults())]
            self.log.append(f"{name} at {time.monotonic() - began_at:.0f} s")
            number += 1
            try:
                fault()
            except Exception as error:
                self.failures.append(f"{name}: {type(error).__name__}: {error}")
                return

    def _kill_process(self) -> None:
        service = self._stage.services[self._kills % len(self._stage.services)]
        self._kills += 1
        service.kill()
        time.sleep(self._seconds.process)
        service.start()

    def _kill_redis(self) -> None:
        redis = self._stage.redis
        if isinstance(redis, SentinelSet):
            primary = redis.primary()
            primary.kill()
            redis.wait_for_another(primary)
            primary.start()
            redis.wait_until_complete()
            return
        redis.kill()
        time.sleep(self._seconds.redis_killed)
        redis.start()

    def _freeze_redis(self) -> None:
        redis = self._stage.redis
        if isinstance(redis, SentinelSet):
            primary = redis.primary()
            with frozen(primary):
                redis.wait_for_another(primary)
            redis.wait_until_complete()
            return
        with frozen_server(redis):
            time.sleep(self._seconds.redis_frozen)

    def _freeze_database(self) -> None:
        assert self._stage.database is not None
        with frozen_server(self._stage.database):
            time.sleep(self._seconds.database_frozen)

    def _kill_connections(self) -> None:
        kill_connections(self._stage.database_url)

    def _kill_bank(self) -> None:
        self._stage.bank.kill()
        time.sleep(self._seconds.bank_killed)
        self._stage.bank.start()


@contextmanager
def frozen_server(server: PrivateServer) -> Iterator[None]:
    """Freeze a server in the block: connections stand, and nothing answers."""
    pid = server.process_id
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def kill_connections(url: str) -> None:
    """End all connections to this database, as its administrator may."""
    name = sa.make_url(url).database
    engine = sa.create_engine(
        server_address(url), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            connection.execute(sa.text(ended), {"name": name})
            return
        users = sa.text("SELECT id FROM information_schema.processlist WHERE db = :name")
        for connected in connection.scalars(users, {"name": name}).all():
            with suppress(sa.exc.DBAPIError):  # it ended in between
                connection.execute(sa.text(f"KILL {int(connected)}"))
