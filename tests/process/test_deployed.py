"""The files in deploy/systemd and deploy/nginx, tried together."""

from __future__ import annotations

import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import IncompleteRead
from pathlib import Path

import pytest

from tests.realtime.clients import Watcher
from tests.support.deployed import ENVIRONMENT_FILE, HOME, UNITS, DeployedNginx, Unit
from tests.support.parts import MissingPart, leave_out
from tests.support.ports import free_port
from tests.support.servers import find_program
from tests.support.service import DEMO_PASSWORD, PIX_KEY, ROOT, SECRET, SECRET_KEY, ServiceProcess
from tests.support.service import UNBOUNDED as BOUNDS

WITHIN_SECONDS = 60.0
NAMES = ("balcao-web@.service", "balcao-worker.service")


def test_systemd_accepts_the_units(tmp_path):
    """A misspelt line is ignored by systemd with a warning that nobody reads."""
    verify = find_program("systemd-analyze")
    if verify is None:
        leave_out(MissingPart("systemd-analyze (apt install systemd)"))
    copies = []
    for name in NAMES:
        text = (UNITS / name).read_text(encoding="utf-8")
        text = text.replace(f"{HOME}/.venv/bin/gunicorn", sys.executable)
        copy = tmp_path / name.replace("@", "@5001")
        copy.write_text(text.replace(HOME, str(ROOT)).replace(ENVIRONMENT_FILE, "/dev/null"))
        copies.append(str(copy))
    ended = subprocess.run(
        [verify, "verify", "--man=no", *copies],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    complaints = [line for line in ended.stderr.splitlines() if "balcao-" in line]
    assert (ended.returncode, complaints) == (0, []), ended.stderr


@dataclass
class Deployment:
    """Two web processes and a worker behind nginx."""

    first: Unit
    second: Unit
    worker: Unit
    nginx: DeployedNginx
    service: ServiceProcess
    """Sends requests to nginx; it has no process of its own."""
    answers: list[int] = field(default_factory=list)


@pytest.fixture
def deployment(fresh_database, redis_url, tmp_path) -> Iterator[Deployment]:
    """What `systemctl enable --now balcao-web@… balcao-web@… balcao-worker` and nginx start."""
    ports = (free_port(), free_port())
    nginx = DeployedNginx(ports)
    settings = {
        "DATABASE_URL": fresh_database("mysql"),
        "REDIS_URL": redis_url,
        "PUBLIC_URL": nginx.url,
        "BANK_URL": "http://127.0.0.1:9",
        "BANK_WEBHOOK_SECRET": SECRET,
        "SECRET_KEY": SECRET_KEY,
        "DEMO_PIX_KEY": PIX_KEY,
        "DEMO_PASSWORD": DEMO_PASSWORD,
        "TRUSTED_PROXIES": "1",
        **BOUNDS,
    }
    file = tmp_path / "balcao.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    with ExitStack() as stack:
        units = [Unit("balcao-web@.service", str(port), file, tmp_path / "state") for port in ports]
        units.append(Unit("balcao-worker.service", "", file, tmp_path / "state"))
        assert units[-1].environment["PORT"] == "5900"
        units[-1].environment["PORT"] = str(free_port())
        for unit in units:
            stack.enter_context(unit)
        for unit in units:
            unit.wait_until_ready()
        stack.enter_context(nginx)
        service = ServiceProcess(tmp_path / "client", PORT=nginx.port)
        yield Deployment(units[0], units[1], units[2], nginx, service)


class Asking:
    """Threads that ask nginx again and again within the block; every answer is kept."""

    def __init__(self, deployment: Deployment) -> None:
        self._service = deployment.service
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(3)]
        self.answers: list[int] = []
        self.cut = 0
        """Answers of which only the head came: nginx cannot ask again after that."""

    def __enter__(self) -> Asking:
        for thread in self._threads:
            thread.start()
        self.wait_for_more()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(WITHIN_SECONDS)

    def wait_for_more(self) -> None:
        """Wait for twenty further answers."""
        limit, before = time.monotonic() + WITHIN_SECONDS, len(self.answers)
        while len(self.answers) < before + 20:
            assert time.monotonic() < limit
            time.sleep(0.05)

    def _ask(self) -> None:
        while not self._is_over.is_set():
            try:
                status, _, _ = self._service.request("GET", "/healthz", timeout=WITHIN_SECONDS)
            except IncompleteRead:
                self.cut += 1
            else:
                self.answers.append(status)


@pytest.mark.mysql
@pytest.mark.timeout(240)
def test_two_processes_and_a_worker_behind_nginx_are_one_service(deployment: Deployment):
    """Watchers of both transports, TLS, a process that is killed, and a reload under requests."""
    service = deployment.service
    payment = service.create()
    context = ssl.create_default_context(cafile=str(deployment.nginx.certificate))
    tls = f"https://127.0.0.1:{deployment.nginx.tls_port}/readyz"
    with urllib.request.urlopen(tls, timeout=20, context=context) as answer:
        assert answer.status == 200
    assert service.get("/metrics")[0] == 404

    with (
        Watcher(service.url, ["websocket"]) as bob,
        Watcher(service.url, ["polling"]) as charlie,
        Asking(deployment) as asking,
    ):
        for watcher in (bob, charlie):
            assert watcher.watch(payment)["status"] == "pending"
        assert service.tell(payment)[0] == 200
        for watcher in (bob, charlie):
            assert watcher.wait_for("payment-confirmed")["status"] == "confirmed"

        deployment.first.kill()
        asking.wait_for_more()
        assert asking.cut <= 3, "at most the answers that were on their way"
        cut_by_the_kill = asking.cut
        other = service.create()
        assert service.tell(other)[0] == 200
        deployment.second.reload()
        wait_until(lambda: deployment.second.log().count("worker.serves") == 2)
        asking.wait_for_more()
        assert service.payment(other["id"])["status"] == "confirmed"
    assert set(asking.answers) == {200}
    assert asking.cut == cut_by_the_kill
    assert deployment.second.stop() == 0
    assert deployment.worker.stop() == 0


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    limit = time.monotonic() + WITHIN_SECONDS
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.05)


@pytest.mark.parametrize("name", NAMES)
def test_the_units_agree(name):
    """Both kinds have the same bounds and protections."""
    other = next(one for one in NAMES if one != name)
    lines = {
        line
        for line in Path(UNITS / name).read_text(encoding="utf-8").splitlines()
        if not line.startswith(("#", "Description=", "Environment="))
    }
    assert lines <= set((UNITS / other).read_text(encoding="utf-8").splitlines())
