"""The programs of a comparison, and how each is asked to do the same things.

`service` is this checkout, alone or with Redis, `before` another one, `bare` and `simple` are in
their modules. Each has a database server of its own where private servers are installed, so that
its CPU is its own.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.cpu import descendants, process_that_listens, tree_seconds
from benchmarks.load import request_bytes
from core.clock import SystemClock, rfc3339
from core.signing import signatures
from tests.support.databases import Databases
from tests.support.ports import free_port
from tests.support.servers import PRIVATE_SERVERS
from tests.support.service import DEMO_PASSWORD, ROOT, SECRET, ServiceProcess, end_to_end_id

READY_WITHIN_SECONDS = 90.0
"""An older checkout migrates its empty database at its start."""
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept-Language": "pt-BR,pt;q=0.9,en;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
}
PAGE = {**BROWSER, "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PICTURE = {**BROWSER, "Accept": "image/avif,image/webp,image/svg+xml,*/*;q=0.8"}
POLL = {**BROWSER, "Accept": "application/json"}
VALUE = 54.9
WITH_REDIS = "service with Redis"
SIMPLE_GREEN = "simple on eventlet"
"""`benchmarks.simple_green`: by the mode of `ASYNC_MODE`, eventlet if it is not set."""


@dataclass(frozen=True)
class Order:
    """A payment as its creator got it."""

    id: str
    bank_payment_id: str
    picture: str
    """The path of the QR that the page shows."""


@dataclass(frozen=True)
class Step:
    """From an age of the page on, in seconds, it polls every so many seconds."""

    until: float
    every: float


def poll_pace(checkout: Path) -> Sequence[Step]:
    """How a page of this checkout polls while its socket is alive, read from its poller."""
    source = (checkout / "static" / "js" / "poller.js").read_text()
    if beside_socket := re.search(r"const TRUSTED_MS = ([\d_]+);", source):
        return (Step(float("inf"), int(beside_socket[1]) / 1000),)
    pace = re.findall(r"untilMs: ([\d_* ]+|Infinity), everyMs: ([\d_]+)", source)
    assert pace, "poller.js has no pace that is understood here"
    return [Step(_milliseconds(until) / 1000, int(every) / 1000) for until, every in pace]


def _milliseconds(text: str) -> float:
    """The value of a number or a product in a script."""
    if text == "Infinity":
        return float("inf")
    return prod(int(factor) for factor in text.split("*"))


class Subject(ABC):
    """A running program."""

    pace: Sequence[Step] = ()
    """How a waiting page polls beside its socket; empty for a page that does not."""
    later_seconds = 0.0
    """Within this time after its answers it has done all that it does later."""

    def __init__(self, name: str, port: int, pid: int, database_pid: int | None) -> None:
        self.name, self.port, self.pid, self.database_pid = name, port, pid, database_pid

    def seconds(self) -> tuple[float, float]:
        """CPU seconds of its processes and of its database server.

        The latter is NaN on SQLite, or if others use the server.
        """
        database = float("nan") if self.database_pid is None else tree_seconds(self.database_pid)
        return tree_seconds(self.pid), database

    def busy_seconds(
        self, begin: tuple[float, float], elapsed: float, idle: tuple[float, float]
    ) -> tuple[float, float]:
        """CPU seconds since `begin`, without those that it uses while nobody asks for anything."""
        end = self.seconds()
        return end[0] - begin[0] - idle[0] * elapsed, end[1] - begin[1] - idle[1] * elapsed

    @abstractmethod
    def create(self, *, has_key: bool = True) -> bytes:
        """A request that creates a payment; 201."""

    @abstractmethod
    def order(self, body: bytes) -> Order:
        """The payment in the answer of a creation."""

    @abstractmethod
    def confirm(self, order: Order) -> bytes:
        """A request of the bank that confirms the payment; 200."""

    @abstractmethod
    def page(self, order: Order) -> str:
        """The path of the payment page."""

    def status(self, order: Order) -> str:
        """The path of the payment's state, which the page polls."""
        raise NotImplementedError(self.name)  # `simple` has no polls, and no case asks it for one

    @abstractmethod
    def watch(self, order: Order) -> str | None:
        """The message with which a client watches the payment; None if all hear all."""

    @abstractmethod
    def event(self, order: Order) -> str:
        """How the message begins that tells the confirmation."""


class Checkout(Subject):
    """The service of this checkout or of another one."""

    later_seconds = 1.2
    """Its jobs run each second."""

    def __init__(
        self, name: str, process: ServiceProcess, database_pid: int | None, checkout: Path = ROOT
    ) -> None:
        """Create an API key of the demo merchant."""
        assert process.process is not None
        super().__init__(name, process.port, process.process.pid, database_pid)
        self.key = _create_key(process.url)
        self.pace = poll_pace(checkout)

    def create(self, *, has_key: bool = True) -> bytes:
        body = {"value": VALUE, "order_id": secrets.token_hex(8)}
        headers = {"Authorization": f"Bearer {self.key}"} if has_key else {}
        return request_bytes("POST", "/payments/pix", json.dumps(body).encode(), headers)

    def order(self, body: bytes) -> Order:
        payment = json.loads(body)["payment"]
        picture = f"/payments/pix/qr_code/{payment['qr_code']}.svg"
        return Order(payment["id"], payment["id"], picture)

    def confirm(self, order: Order) -> bytes:
        now = SystemClock().now()
        notice = {
            "bank_payment_id": order.id,
            "value": VALUE,
            "end_to_end_id": end_to_end_id(),
            "paid_at": rfc3339(now),
        }
        body = json.dumps(notice).encode()
        headers = signatures.signed_headers(SECRET, f"msg_{secrets.token_hex(8)}", now, body)
        return request_bytes("POST", "/payments/pix/confirmation", body, headers)

    def page(self, order: Order) -> str:
        return f"/payments/pix/{order.id}"

    def status(self, order: Order) -> str:
        return f"/payments/pix/{order.id}/status"

    def receipt(self, order: Order) -> str:
        """The path of the receipt."""
        return f"/payments/pix/{order.id}/receipt"

    def watch(self, order: Order) -> str | None:
        return "420" + json.dumps(["watch", {"payment_id": order.id}])

    def event(self, order: Order) -> str:  # noqa: ARG002 - its room hears of one payment
        return '42["payment-confirmed"'


class BareApp(Subject):
    """`benchmarks.bare`."""

    def create(self, *, has_key: bool = True) -> bytes:  # noqa: ARG002 - it has no keys
        return request_bytes("POST", "/insert", json.dumps({"value": VALUE}).encode())

    def order(self, body: bytes) -> Order:
        txid = json.loads(body)["id"]
        return Order(txid, txid, "/picture.png")

    def confirm(self, order: Order) -> bytes:
        return request_bytes("POST", "/confirm", json.dumps({"id": order.id}).encode())

    def page(self, order: Order) -> str:
        return f"/page/{order.id}"

    def status(self, order: Order) -> str:
        return f"/status/{order.id}"

    def watch(self, order: Order) -> str | None:
        return "420" + json.dumps(["watch", {"payment_id": order.id}])

    def event(self, order: Order) -> str:  # noqa: ARG002 - its room hears of one payment
        return '42["payment-confirmed"'


class SimpleApp(Subject):
    """`benchmarks.simple`, or `benchmarks.simple_green`."""

    def create(self, *, has_key: bool = True) -> bytes:  # noqa: ARG002 - it has no keys
        return request_bytes("POST", "/payments/pix", json.dumps({"value": VALUE}).encode())

    def order(self, body: bytes) -> Order:
        payment = json.loads(body)["payment"]
        picture = f"/payments/pix/qr_code/{payment['qr_code']}"
        return Order(str(payment["id"]), payment["bank_payment_id"], picture)

    def confirm(self, order: Order) -> bytes:
        notice = {"bank_payment_id": order.bank_payment_id, "value": VALUE}
        return request_bytes("POST", "/payments/pix/confirmation", json.dumps(notice).encode())

    def page(self, order: Order) -> str:
        return f"/payments/pix/{order.id}"

    def watch(self, order: Order) -> str | None:  # noqa: ARG002 - all hear all
        return None

    def event(self, order: Order) -> str:
        return f'42["payment-confirmed-{order.id}"'


SETTLE_SECONDS = 0.2
"""What a program gets after it stood still, for the jobs that it has missed."""


@contextmanager
def others_stopped(measured: Subject, running: Iterable[Subject]) -> Iterator[None]:
    """Let the other programs stand still: their jobs would take the caches of the measured one."""
    others = [one for one in running if one is not measured]
    pids = [pid for one in others for pid in descendants(one.pid)]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(SETTLE_SECONDS)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def idle_loads(running: Iterable[Subject], seconds: float) -> dict[str, tuple[float, float]]:
    """By name: the shares of a core that a subject and its database use while nobody asks."""
    subjects = list(running)
    begin = [subject.seconds() for subject in subjects]
    started = time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - started
    loads = {}
    for subject, (own, database) in zip(subjects, begin, strict=True):
        end = subject.seconds()
        loads[subject.name] = (end[0] - own) / elapsed, (end[1] - database) / elapsed
    return loads


class CheckoutProcess(ServiceProcess):
    """`python app.py` in a checkout, with bounds that one machine's clients do not meet."""

    is_forked = False

    def __init__(self, checkout: Path, instance: Path, **environment: Any) -> None:
        bounds = {"CONNECTIONS_PER_ADDRESS_MAX": 10_000, "SOCKETS_PER_ADDRESS_MAX": 100_000}
        super().__init__(instance, **{**bounds, **environment})
        self._checkout = checkout

    def start(self, wait: bool = True) -> None:
        """Start, and wait as long as migrations may take."""
        if self.is_forked and self._checkout == ROOT:
            super().start(wait)
            return
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "app.py"],
                cwd=self._checkout,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        if wait:
            _wait(self.url + "/readyz", self.process, self._log)


@contextmanager
def open_subjects(
    folder: Path, engine: str, names: Sequence[str], against: Path | None = None, **settings: Any
) -> Iterator[dict[str, Any]]:
    """Start these subjects, and `before` if there is another checkout to compare with.

    Yields them by name; `settings` are environment variables of the service.
    """
    with ExitStack() as stack:
        subjects: dict[str, Subject] = {}
        for name in [*names, *(["before"] if against else [])]:
            databases = Databases()
            stack.callback(databases.close)
            own = folder / name
            own.mkdir(parents=True, exist_ok=True)
            start = _STARTS.get(name, _start_plain)
            checkout = against if name == "before" and against else ROOT
            subjects[name] = stack.enter_context(
                start(name, own, databases, engine, checkout.resolve(), **settings)
            )
        servers = [subject.database_pid for subject in subjects.values()]
        for subject in subjects.values():
            if servers.count(subject.database_pid) > 1:
                subject.database_pid = None
        yield subjects


@contextmanager
def open_twins(folder: Path, engine: str) -> Iterator[tuple[Subject, Subject]]:
    """Two processes of the service that share a database."""
    databases = Databases()
    try:
        with databases.fresh(engine) as url, ExitStack() as stack:
            pid = _database_pid(url)
            one, other = (
                stack.enter_context(CheckoutProcess(ROOT, folder / name, DATABASE_URL=url))
                for name in ("one", "other")
            )
            yield Checkout("one", one, pid), Checkout("other", other, pid)
    finally:
        databases.close()


@contextmanager
def _start_checkout(
    name: str, folder: Path, databases: Databases, engine: str, checkout: Path, **settings: Any
) -> Iterator[Checkout]:
    # An older checkout has older tables, so it migrates an empty database itself.
    database = databases.fresh(engine) if checkout == ROOT else databases.empty(engine)
    with (
        database as url,
        CheckoutProcess(checkout, folder, DATABASE_URL=url, **settings) as process,
    ):
        yield Checkout(name, process, _database_pid(url), checkout)


@contextmanager
def _start_with_redis(
    name: str, folder: Path, databases: Databases, engine: str, checkout: Path, **settings: Any
) -> Iterator[Checkout]:
    """As production has it: then a process may remember who sent a request."""
    with (
        PRIVATE_SERVERS["redis"]() as redis,
        _start_checkout(
            name, folder, databases, engine, checkout, REDIS_URL=redis.url, **settings
        ) as subject,
    ):
        yield subject


_STARTS = {
    "service": _start_checkout,
    WITH_REDIS: _start_with_redis,
    "before": _start_checkout,
}
_PLAIN: dict[str, tuple[str, type[Subject]]] = {
    "bare": ("benchmarks.bare", BareApp),
    "simple": ("benchmarks.simple", SimpleApp),
    SIMPLE_GREEN: ("benchmarks.simple_green", SimpleApp),
}
"""By name: the module that is run, and how it is asked."""


@contextmanager
def _start_plain(
    name: str, folder: Path, databases: Databases, engine: str, checkout: Path, **_settings: Any
) -> Iterator[Subject]:
    port = free_port()
    module, kind = _PLAIN[name]
    log_file = folder / "log"
    with databases.empty(engine) as url, log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(port), url, str(folder)],
            cwd=checkout,
            env=dict(os.environ),
            stdout=log,
            stderr=log,
        )
        try:
            _wait(f"http://127.0.0.1:{port}/healthz", process, log_file)
            yield kind(name, port, process.pid, _database_pid(url))
        finally:
            process.kill()
            process.wait(10)


def _database_pid(url: str) -> int | None:
    port = sa.make_url(url).port
    return process_that_listens(port) if port else None


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < limit and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text()[-2000:])


def _create_key(url: str) -> str:
    """An API key of the demo merchant, as its portal creates one."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def post(path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        request = urllib.request.Request(
            url + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", **headers},
        )
        with opener.open(request, timeout=20) as answer:
            content: dict[str, Any] = json.loads(answer.read())
        return content

    csrf = post("/api/login", {"username": "demo", "password": DEMO_PASSWORD})["csrf_token"]
    scopes = {"label": "benchmark", "scopes": ["payments:read", "payments:write"]}
    return str(post("/api/keys", scopes, **{"X-CSRF-TOKEN": csrf})["key"])
