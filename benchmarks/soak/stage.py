"""The servers of a soak: database, Redis, the simulated bank, two processes, a receiver."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.clock import SystemClock
from tests.support.databases import create_database
from tests.support.ports import free_port
from tests.support.sentinels import SentinelSet
from tests.support.servers import PRIVATE_SERVERS, PrivateServer
from tests.support.service import INHERITED, ROOT, SECRET, ServiceProcess
from tests.support.templates import fill
from tests.webhooks.shops import Shop, open_shop

BANK_START_SECONDS = 60
FLAKY_EVERY = 20
"""The receiver answers 500 to the first delivery of every so many-th event. The second attempt
comes after five seconds, a third one would come after five minutes."""


class SoakBank:
    """The simulated bank as a process of its own, which can be killed and started again."""

    def __init__(self, folder: Path, port: int, service_url: str) -> None:
        self.url = f"http://127.0.0.1:{port}/bank"
        self.database_url = f"sqlite:///{folder / 'bank.sqlite3'}"
        self._log = folder / "bank.log"
        self._environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "BANK_PORT": str(port),
            "BANK_DATABASE_URL": self.database_url,
            "BANK_WEBHOOK_SECRET": SECRET,
            "BANK_SECRET_KEY": hashlib.sha256(b"the bank of a soak").hexdigest(),
            "PUBLIC_URL": service_url,
            "BANK_PARTICIPANTS": f"{service_url.removeprefix('http://')}={service_url}",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers. Raises AssertionError with its log."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bank"],
                cwd=ROOT, env=self._environment, stdout=log, stderr=log,
            )  # fmt: skip
        limit = time.monotonic() + BANK_START_SECONDS
        while time.monotonic() < limit:
            try:
                with urllib.request.urlopen(f"{self.url}/login", timeout=5):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"the bank did not start:\n{self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)


class FlakyAnswers:
    """What the receiver answers: 200, and sometimes 500 for an event that it has not seen yet."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def __call__(self, event: dict[str, Any]) -> tuple[int, dict[str, str]]:
        """The status and the headers for one delivery."""
        is_new = event["id"] not in self._seen
        self._seen.add(event["id"])
        return (500 if is_new and len(self._seen) % FLAKY_EVERY == 0 else 200), {}


@dataclass(frozen=True)
class Stage:
    """What runs during a soak."""

    services: list[ServiceProcess]
    bank: SoakBank
    redis: PrivateServer | SentinelSet
    database: PrivateServer | None
    """None for SQLite."""
    database_url: str
    shop: Shop


@contextmanager
def open_stage(
    engine: str, folder: Path, *, has_sentinels: bool, is_forked: bool
) -> Iterator[Stage]:
    """Start everything; end it at the end of the block."""
    with ExitStack() as running:
        redis: PrivateServer | SentinelSet
        if has_sentinels:
            redis = running.enter_context(SentinelSet())
        else:
            redis = running.enter_context(PRIVATE_SERVERS["redis"]())
        database = None
        url = f"sqlite:///{folder / 'soak.sqlite3'}"
        if engine != "sqlite":
            database = running.enter_context(PRIVATE_SERVERS[engine]())
            url = create_database(database.url)
        fill(url)
        ports = [free_port(), free_port()]
        public_url = f"http://127.0.0.1:{ports[0]}"
        bank = SoakBank(folder, free_port(), public_url)
        running.callback(bank.kill)
        bank.start()
        services = []
        for number, port in enumerate(ports):
            service = ServiceProcess(
                folder / f"process-{number}",
                PORT=port,
                PUBLIC_URL=public_url,
                DATABASE_URL=url,
                REDIS_URL=redis.url,
                BANK_URL=bank.url,
                SWEEP_START_GRACE_SECONDS=2,
            )
            service.is_forked = is_forked
            services.append(running.enter_context(service))
        shop = running.enter_context(open_shop(SystemClock()))
        shop.answer = FlakyAnswers()
        yield Stage(services, bank, redis, database, url, shop)
