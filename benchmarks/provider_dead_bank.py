"""What a merchant's dead bank costs another merchant.

    python -m benchmarks.provider_dead_bank [rounds]

A service as a process, on SQLite. Merchant A creates A_PER_SECOND payments at its bank,
merchant B B_PER_SECOND at the simulated one, from two addresses. A's bank answers, closes each
connection, never answers, or refuses TCP; once A creates nothing. Each of these has a service of
its own in each round, and their order changes from round to round. Prints B's p95 and its ratio to
that with a bank that answers, whose goal is 1.3 at most, and the service's CPU time, which other
work on the machine disturbs less.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import click
import sqlalchemy as sa

from accounts.keys import SCOPES, key_hash, new_api_key
from benchmarks.report import percentile
from core.clock import SystemClock
from db_models import Account, ApiKey
from tests.db.tables import Tables
from tests.providers.at_stand_in import enrol
from tests.providers.stand_in import Fault, StandInBank
from tests.support.ports import free_port
from tests.support.service import ServiceProcess

A_PER_SECOND, B_PER_SECOND = 25, 20
SECONDS = 8.0
LEAD_SECONDS = 2.0
"""Of A's creations before B's are measured."""
ROUNDS = 4
THREADS = 300
BANK_SECONDS = 0.05
LIMIT = 1.3
A_ADDRESS, B_ADDRESS = "127.0.0.2", "127.0.0.1"
NONE, ANSWERS, CLOSES, HANGS, REFUSES = "no load", "answers", "closes", "hangs", "refuses TCP"
CASES = (NONE, ANSWERS, CLOSES, HANGS, REFUSES)


class FarBank(StandInBank):
    """A bank that another process serves."""

    def __init__(self, origin: str) -> None:
        """`origin` is the bank's scheme, host and port."""
        super().__init__()
        self._origin = origin

    @property
    def origin(self) -> str:
        """Where the bank is."""
        return self._origin


def serve(pipe: Connection) -> None:
    """Run all kinds of banks in a process of their own, until the pipe says something."""
    closing, hanging = (
        socket.create_server(("127.0.0.1", 0)),
        socket.create_server(("127.0.0.1", 0)),
    )
    hanging.listen(512)
    silent: list[socket.socket] = []

    def hold(connection: socket.socket) -> None:
        silent.append(connection)

    for server, act in ((closing, socket.socket.close), (hanging, hold)):
        threading.Thread(target=accept, args=(server, act), daemon=True).start()
    with StandInBank() as bank:
        bank.faults.append(Fault("*", "delay", count=10**9, seconds=BANK_SECONDS))
        ports = {CLOSES: closing.getsockname()[1], HANGS: hanging.getsockname()[1]}
        pipe.send((bank.origin, {**ports, REFUSES: free_port()}))
        pipe.recv()


def accept(server: socket.socket, act: Callable[[socket.socket], None]) -> None:
    """Do this with each connection."""
    while True:
        with suppress(OSError):
            act(server.accept()[0])


@dataclass
class Creator:
    """A merchant's creations at a steady rate; each thread has a connection of its own."""

    port: int
    address: str
    key: str = ""
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    _local: threading.local = field(default_factory=threading.local)

    def create(self) -> None:
        """Create one payment."""
        link = getattr(self._local, "link", None)
        if link is None:
            link = self._local.link = http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=30, source_address=(self.address, 0)
            )
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        began = time.perf_counter()
        link.request("POST", "/payments/pix", json.dumps({"value": "54.90"}), headers)
        answer = link.getresponse()
        answer.read()
        self.seconds.append(time.perf_counter() - began)
        self.statuses[answer.status] += 1

    def run(self, per_second: int, seconds: float, threads: ThreadPoolExecutor) -> None:
        """Create at this rate; returns when the last creation has begun."""
        began = time.perf_counter()
        for place in range(int(per_second * seconds)):
            time.sleep(max(0.0, began + place / per_second - time.perf_counter()))
            threads.submit(self.create)


def add_merchant(tables: Tables) -> str:
    """Store merchant B; returns its API key."""
    key, moment = new_api_key(), SystemClock().now()
    columns = {"login": "bob", "name": "Bob", "city": "Recife", "pix_key": "bob@example.com"}
    tables.insert(Account, {**columns, "created_at": moment})
    [(row,)] = tables.rows(sa.select(Account.id).where(Account.login == "bob"))
    columns = {"account_id": row, "label": "benchmark", "scopes": " ".join(SCOPES)}
    tables.insert(ApiKey, {**columns, "key_sha256": key_hash(key), "created_at": moment})
    return key


def cpu_seconds(pid: int) -> float:
    """The seconds of CPU that a process has used so far, its start included."""
    columns = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")


def measure(case: str, origin: str, ports: dict[str, int]) -> tuple[list[float], float]:
    """The seconds of B's creations while A's bank is in this state, and the service's of CPU."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        service = ServiceProcess(Path(folder), DATABASE_URL=url)
        service.start()
        service.kill()
        tables = Tables(url)
        b = Creator(service.port, B_ADDRESS, add_merchant(tables))
        enrol(tables, FarBank(f"http://127.0.0.1:{ports[case]}" if case in ports else origin))
        with service, ThreadPoolExecutor(THREADS) as a_threads, ThreadPoolExecutor(40) as b_threads:
            a = Creator(service.port, A_ADDRESS)
            for _ in range(20):
                b.create()
            b.seconds.clear()
            per_second = 0 if case == NONE else A_PER_SECOND
            load = partial(a.run, per_second, SECONDS + LEAD_SECONDS, a_threads)
            loading = threading.Thread(target=load)
            loading.start()
            time.sleep(LEAD_SECONDS)
            b.run(B_PER_SECOND, SECONDS, b_threads)
            b_threads.shutdown()
            loading.join()
            a_threads.shutdown()
            assert service.process is not None
            cpu = cpu_seconds(service.process.pid)
    if set(b.statuses) != {201}:
        click.echo(f"{case}: unexpected statuses for B: {dict(b.statuses)}")
    answered = statistics.median(a.seconds) * 1000 if a.seconds else 0
    click.echo(f"  {case}: A {dict(a.statuses)}, median {answered:.0f} ms", err=True)
    return b.seconds, cpu


def main(rounds: int) -> int:
    """Measure and print; returns 1 if a ratio is over the limit."""
    near, far = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(far,), daemon=True)
    process.start()
    origin, ports = near.recv()
    samples: dict[str, list[list[float]]] = {case: [] for case in CASES}
    cpu: dict[str, list[float]] = {case: [] for case in CASES}
    for place in range(rounds):
        first = place % len(CASES)
        for case in CASES[first:] + CASES[:first]:
            seconds, used = measure(case, origin, ports)
            samples[case].append(seconds)
            cpu[case].append(used)
    near.send("stop")
    process.join()
    p95s = {case: [percentile(one, 0.95) * 1000 for one in samples[case]] for case in CASES}
    is_over = False
    for case in CASES:
        pooled = [one for part in samples[case] for one in part]
        ratios = [a / b for a, b in zip(p95s[case], p95s[ANSWERS], strict=True)]
        ratio = statistics.median(ratios)
        is_over |= case in (CLOSES, HANGS, REFUSES) and ratio > LIMIT
        click.echo(
            f"{case:12} B's median {statistics.median(pooled) * 1000:5.1f} ms, "
            f"p95 {percentile(pooled, 0.95) * 1000:6.1f} ms, "
            f"p95 over that of a bank that answers: {ratio:.2f} "
            f"({', '.join(f'{one:.2f}' for one in ratios)}), "
            f"CPU {statistics.median(cpu[case]):.1f} s"
        )
    return int(is_over)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
