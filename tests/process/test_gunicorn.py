"""The service on gunicorn: workers that end or hang are replaced, and several share one port."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from server.gunicorn_worker import RESTART_PAUSE_SECONDS
from tests.process.talking import Talker
from tests.realtime.clients import Watcher
from tests.support.ports import free_port
from tests.support.service import ROOT, ServiceProcess

HANGS_AFTER_SECONDS = 4
WITHIN_SECONDS = 60.0
HEARS_WITHIN_SECONDS = 5.0
"""In which the master has heard a signal; its turn takes a second."""
WATCHERS = 24
ESTABLISHED = "01"
"""The state in /proc/net/tcp."""


def wait_until(is_so: Callable[[], bool], service: ServiceProcess) -> None:
    """Wait until the condition holds."""
    limit = time.monotonic() + WITHIN_SECONDS
    while not is_so():
        assert time.monotonic() < limit, service.log()[-3000:]
        time.sleep(0.05)


@pytest.fixture(scope="module")
def single(tmp_path_factory) -> Iterator[ServiceProcess]:
    """One worker; the master gives up soon on a worker that hangs."""
    options = f"--timeout={HANGS_AFTER_SECONDS}"
    with ServiceProcess(
        tmp_path_factory.mktemp("single"), ASYNC_MODE="gunicorn", GUNICORN_CMD_ARGS=options
    ) as running:
        yield running


def replaced(service: ServiceProcess, pids: list[int]) -> Callable[[], bool]:
    """Whether other workers serve than these."""
    return lambda: bool(service.worker_pids) and not set(pids) & set(service.worker_pids)


def test_it_is_the_service_with_its_jobs_and_the_bank(single):
    """gunicorn once served without them: no expiry was stored, and no schema was compared."""
    payment = single.create()
    assert single.tell(payment)[0] == 200
    assert single.payment(payment["id"])["status"] == "confirmed"
    assert single.get("/bank/login", accept="text/html")[0] == 200
    wait_until(lambda: b'job_runs_total{job="sweep"}' in single.get("/metrics")[1], single)
    with Watcher(single.url, ["polling"]) as bob:
        assert bob.watch(payment)["status"] == "confirmed"
    assert "Traceback" not in single.log()
    assert "Warning" not in single.log()


def test_a_worker_that_was_killed_is_replaced(single):
    """As by the system, when memory runs out."""
    pids = single.worker_pids
    os.kill(pids[0], signal.SIGKILL)
    wait_until(replaced(single, pids), single)
    assert single.create()["status"] == "pending"


def test_what_started_as_one_worker_stays_one(single):
    """Two would share SQLite and the bank, and the second would not know that it is one of two."""
    assert single.process is not None
    pids = single.worker_pids
    single.process.send_signal(signal.SIGTTIN)
    wait_until(lambda: "so no worker is added" in single.log(), single)
    assert single.worker_pids == pids


def test_a_worker_that_hangs_is_replaced(single):
    """Whatever holds the hub: nobody is answered meanwhile, and nobody has to notice it."""
    pids = single.worker_pids
    os.kill(pids[0], signal.SIGSTOP)
    wait_until(replaced(single, pids), single)
    assert single.create()["status"] == "pending"
    assert "WORKER TIMEOUT" in single.log()


def test_a_reload_loses_no_request(single):
    """SIGHUP, while requests run and others begin."""
    assert single.process is not None
    pids, answers, is_over = single.worker_pids, [], threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            answers.append(single.request("GET", "/healthz", timeout=WITHIN_SECONDS)[0])

    asking = [threading.Thread(target=ask) for _ in range(4)]
    with Talker(single.port) as bob:
        last_byte = bob.begin_create(description="slow")
        for thread in asking:
            thread.start()
        try:
            time.sleep(0.5)
            single.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "Hang up" in single.log(), single)  # the settings were checked
            time.sleep(1.0)
            bob.send(last_byte)
            status, headers, body = bob.answer()
            wait_until(replaced(single, pids), single)
            before = len(answers)
            wait_until(lambda: len(answers) > before + 20, single)
        finally:
            is_over.set()
            for thread in asking:
                thread.join(WITHIN_SECONDS)
    assert (status, json.loads(body)["payment"]["description"]) == (201, "slow")
    assert headers["connection"] == "close"
    assert set(answers) == {200}


def test_a_reload_with_settings_that_cannot_serve_keeps_the_old_workers(tmp_path):
    """They were once ended, while new ones failed again and again: nobody served."""
    good = f"sqlite:///{tmp_path / 'balcao.sqlite3'}"
    file = tmp_path / "database-url"
    file.write_text(good, encoding="utf-8")
    with ServiceProcess(tmp_path, ASYNC_MODE="gunicorn", DATABASE_URL_FILE=file) as service:
        assert service.process is not None
        pids = service.worker_pids
        for address, words in (
            ("nonsense://", "DATABASE_URL"),
            (f"sqlite:///{tmp_path / 'gone' / 'x.sqlite3'}", "cannot be opened"),
        ):
            refusals = count_of(service, "Reload refused")
            file.write_text(address, encoding="utf-8")
            service.process.send_signal(signal.SIGHUP)
            wait_until(partial(is_refused_again, service, refusals), service)
            line = [one for one in service.log().splitlines() if "Reload refused" in one][-1]
            assert words in line
        assert service.worker_pids == pids
        assert service.create()["status"] == "pending"
        file.write_text(good, encoding="utf-8")
        service.process.send_signal(signal.SIGHUP)
        wait_until(replaced(service, pids), service)
        assert service.create()["status"] == "pending"
        assert service.log().count("Reload refused") == 2
        assert "Traceback" not in service.log()


def checked(
    service: ServiceProcess, addresses: list[Any], metrics_folder: str = ""
) -> subprocess.CompletedProcess[str]:
    """The check of a reload to these settings, while these addresses are open."""
    return subprocess.run(
        [sys.executable, "-m", "server.reload_check", "-c", "gunicorn.conf.py"], cwd=ROOT,
        env={**service.environment, "ASYNC_MODE": "gevent"}, capture_output=True,
        input=json.dumps({"addresses": addresses, "metrics_folder": metrics_folder}), text=True,
        timeout=WITHIN_SECONDS, check=False,
    )  # fmt: skip


def test_a_check_that_fails_says_where_its_lines_are(tmp_path):
    """Without an answer the master says that the check was killed."""
    (tmp_path / "broken.py").write_text("raise RuntimeError('broken code')", encoding="utf-8")
    service = ServiceProcess(tmp_path / "instance", ASYNC_MODE="gunicorn")
    paths = ["--pythonpath", str(tmp_path)]
    for arguments, line in (
        ([*paths, "broken:serve"], "RuntimeError: broken code"),
        (["--workers", "many"], "invalid int value"),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "server.reload_check", "-c", "gunicorn.conf.py", *arguments],
            cwd=ROOT, env={**service.environment, "ASYNC_MODE": "gevent"}, capture_output=True,
            input='{"addresses": [], "metrics_folder": ""}', text=True, timeout=WITHIN_SECONDS,
            check=False,
        )  # fmt: skip
        assert ended.stdout == "a worker would not start; the lines above say why."
        assert line in ended.stderr
        assert ended.returncode == 1


def test_a_reload_onto_a_port_of_another_program_is_refused(tmp_path):
    """gunicorn closes its sockets first, and ends if it cannot open the new ones."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        service = ServiceProcess(tmp_path, ASYNC_MODE="gunicorn", PORT=port)
        for open_addresses, status in (([], 1), ([["127.0.0.1", port]], 0)):
            ended = checked(service, open_addresses)
            assert ended.returncode == status, ended.stderr
            assert (f"Port {port} on 127.0.0.1 is in use" in ended.stdout) is bool(status)


def test_a_reload_with_broken_files_of_tls_is_refused_in_development_too(tmp_path):
    """No worker started with them, and the old ones had ended."""
    port, tls_port = free_port(), free_port()
    service = ServiceProcess(tmp_path, ASYNC_MODE="gunicorn", PORT=port, TLS_PORT=tls_port)
    addresses = [["127.0.0.1", port], ["127.0.0.1", tls_port]]
    assert checked(service, addresses).stdout == "passed"
    (file,) = tmp_path.rglob("server.pem")
    file.write_text("broken", encoding="ascii")
    ended = checked(service, addresses)
    assert str(file.parent) in ended.stdout, ended.stderr
    assert ended.returncode == 1


@pytest.mark.mysql
def test_the_folder_of_metrics_is_created_before_the_workers_need_it(
    fresh_database, redis_url, tmp_path
):
    """Each worker once ended with FileNotFoundError, again and again."""
    service = ServiceProcess(
        tmp_path / "instance", ASYNC_MODE="gunicorn", WORKERS=2, REDIS_URL=redis_url,
        DATABASE_URL=fresh_database("mysql"), BANK_URL="http://127.0.0.1:9",
    )  # fmt: skip
    addresses = [["127.0.0.1", service.port]]
    folder = tmp_path / "new" / "metrics"
    ended = checked(service, addresses, str(folder))
    assert ended.stdout == "passed", ended.stderr
    assert list(folder.iterdir()) == []


SLOW = """
import os, pathlib, time

HERE = pathlib.Path(__file__).parent

def check_start(workers, address_count):
    (HERE / f"check-{os.getpid()}").touch()
    while not (HERE / "go").exists():
        time.sleep(0.05)

def serve_sockets(listeners, workers, number):
    (HERE / f"serves-{os.getpid()}").touch()
    while True:
        time.sleep(1)
"""


def test_the_master_goes_on_while_a_reload_is_checked(tmp_path):
    """It once stood still: dead workers stayed dead, and systemd killed it after 40 seconds."""
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    service = ServiceProcess(tmp_path / "instance", ASYNC_MODE="gunicorn")
    service._command += ["--pythonpath", str(tmp_path), "slow:serve_sockets"]
    service.start(wait=False)
    checks = partial(pids_in, tmp_path, "check")
    serving = partial(pids_in, tmp_path, "serves")
    try:
        assert service.process is not None
        wait_until(lambda: len(serving()) == 1, service)
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(checks()) == 1, service)
        for number in range(3):  # one more check follows, not three
            service.process.send_signal(signal.SIGHUP)
            wait_until(lambda: count_of(service, "signal: hup") == number + 2, service)  # noqa: B023
        os.kill(serving()[0], signal.SIGKILL)
        wait_until(lambda: len(serving()) == 2, service)
        assert len(checks()) == 1
        (tmp_path / "go").touch()
        wait_until(lambda: len(serving()) == 3, service)
        assert len(checks()) == 2
        assert count_of(service, "Hang up") == 1
        assert "Reload refused" not in service.log()
        (tmp_path / "go").unlink()
        before = checks()
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(checks()) == 3, service)
        (killed,) = set(checks()) - set(before)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: count_of(service, "Reload refused") == 1, service)
        assert "ended without a result: it was killed" in service.log()
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(checks()) == 4, service)
        assert service.stop(HEARS_WITHIN_SECONDS) == 0
        assert not [pid for pid in checks() if Path(f"/proc/{pid}").exists()]
        assert count_of(service, "Reload refused") == 1
    finally:
        service.kill()


LONG = """
import os, pathlib, signal, time

HERE = pathlib.Path(__file__).parent

def check_start(workers, address_count):
    pass

def serve_sockets(listeners, workers, number):
    signals = []
    signal.signal(signal.SIGTERM, lambda number, _frame: signals.append(number))
    (HERE / f"serves-{os.getpid()}").touch()
    while not signals:
        time.sleep(0.05)
    (HERE / f"ends-{os.getpid()}").touch()
    while not (HERE / "go").exists():  # a request that takes long
        time.sleep(0.05)
    return 0
"""


def test_the_master_hears_signals_while_old_workers_end(tmp_path):
    """gunicorn waits 25 seconds for them: a stop and another reload waited too."""
    (tmp_path / "long.py").write_text(LONG, encoding="utf-8")
    service = ServiceProcess(tmp_path / "instance", ASYNC_MODE="gunicorn")
    service._command += ["--pythonpath", str(tmp_path), "long:serve_sockets"]
    service.start(wait=False)
    serving, ending = partial(pids_in, tmp_path, "serves"), partial(pids_in, tmp_path, "ends")
    try:
        assert service.process is not None
        wait_until(lambda: len(serving()) == 1, service)
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(serving()) == 2, service)
        wait_until(lambda: len(ending()) == 1, service)
        begun = time.monotonic()
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(serving()) == 3, service)
        wait_until(lambda: len(ending()) == 2, service)
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: len(ending()) == 3, service)
        assert time.monotonic() - begun < HEARS_WITHIN_SECONDS
        assert len(service.worker_pids) == 3
        (tmp_path / "go").touch()
        assert service.process.wait(HEARS_WITHIN_SECONDS) == 0
    finally:
        service.kill()


PATCHING = """
from server import async_mode

def patch(mode):
    import time
    print("patching", flush=True)
    time.sleep(60)

async_mode.patch = patch
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_stop_ends_a_worker_whose_start_has_just_begun(tmp_path, number):
    """The worker had the master's handlers still, which lost the signal: the stop took long."""
    file = tmp_path / "slow_patch.conf.py"
    usual = (ROOT / "gunicorn.conf.py").read_text(encoding="utf-8")
    file.write_text(
        usual.replace("Path(__file__).resolve().parent", f"Path({str(ROOT)!r})") + PATCHING,
        encoding="utf-8",
    )
    service = ServiceProcess(tmp_path / "instance", ASYNC_MODE="gunicorn")
    service._command[-1] = str(file)
    service.start(wait=False)
    try:
        assert service.process is not None
        wait_until(lambda: "patching" in service.log(), service)
        service.process.send_signal(number)
        assert service.process.wait(WITHIN_SECONDS) == 0
        # gunicorn kills what has not ended by itself.
        assert "SIGKILL" not in service.log()
        assert "was sent SIGTERM!" in service.log()
    finally:
        service.kill()


def test_a_reload_with_another_folder_of_metrics_is_refused(tmp_path):
    """It was ignored: the master keeps its folder, with the counts of workers that have ended."""
    code, env_file = tmp_path / "code", tmp_path / "code" / ".env"
    shutil.copytree(ROOT / "server", code / "server")
    shutil.copy(ROOT / "gunicorn.conf.py", code)
    for path in ROOT.iterdir():  # the master reads its own .env, so it needs a folder of its own
        if path.name[0] != "." and path.name != "app.py" and not (code / path.name).exists():
            (code / path.name).symlink_to(path)
    (code / "app.py").write_text(SLOW, encoding="utf-8")
    (code / "go").touch()
    service = ServiceProcess(tmp_path / "instance", ASYNC_MODE="gunicorn", code=code, WORKERS=2)
    serving = partial(pids_in, code, "serves")
    first, second = (f"PROMETHEUS_MULTIPROC_DIR={tmp_path / name}" for name in ("a", "b"))
    env_file.write_text(first, encoding="utf-8")
    service.start(wait=False)
    try:
        assert service.process is not None
        wait_until(lambda: len(serving()) == 2, service)
        for text in (second, ""):
            refusals = count_of(service, "Reload refused")
            env_file.write_text(text, encoding="utf-8")
            service.process.send_signal(signal.SIGHUP)
            wait_until(partial(is_refused_again, service, refusals), service)
        lines = [line for line in service.log().splitlines() if "Reload refused" in line]
        for line in lines:
            assert "PROMETHEUS_MULTIPROC_DIR has changed" in line
            assert f"are in {tmp_path / 'a'}: restart the service." in line
        assert (len(lines), len(serving())) == (2, 2)
        env_file.write_text(first, encoding="utf-8")
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(serving()) == 4, service)
        assert service.stop() == 0
    finally:
        service.kill()


def pids_in(folder: Path, word: str) -> list[int]:
    """The processes that have written a file of this kind, the first one first."""
    files = sorted(folder.glob(f"{word}-*"), key=lambda file: file.stat().st_mtime_ns)
    return [int(file.name.partition("-")[2]) for file in files]


FAILING = """
import pathlib, time

BROKEN = pathlib.Path(__file__).with_name("broken")
if BROKEN.exists() and BROKEN.read_text() == "import":
    raise RuntimeError("cannot be imported")

def serve_sockets(listeners, workers, number):
    if BROKEN.exists():
        raise RuntimeError("cannot start")
    while True:
        time.sleep(1)
"""


@pytest.mark.parametrize("place", ["import", "start"])
def test_a_worker_that_fails_unexpectedly_is_started_again_after_a_pause(tmp_path, place):
    """It once kept a core busy; a module that cannot be imported ended the other workers too."""
    (tmp_path / "failing.py").write_text(FAILING, encoding="utf-8")
    broken = tmp_path / "broken"
    service = ServiceProcess(tmp_path / "instance", ASYNC_MODE="gunicorn")
    service._command += ["--pythonpath", str(tmp_path), "failing:serve_sockets"]
    service.start(wait=False)
    try:
        starts = partial(count_of, service, "Booting worker")
        wait_until(lambda: starts() == 1 and bool(service.worker_pids), service)
        pids = service.worker_pids
        broken.write_text(place, encoding="utf-8")
        os.kill(pids[0], signal.SIGKILL)
        wait_until(lambda: "unexpected error" in service.log(), service)
        assert f"cannot {'be imported' if place == 'import' else 'start'}" in service.log()
        at_first = starts()
        time.sleep(RESTART_PAUSE_SECONDS * 1.5)
        assert starts() - at_first in (1, 2)
        assert service.process is not None
        assert service.process.poll() is None
        broken.unlink()
        failures = count_of(service, "unexpected error")
        time.sleep(RESTART_PAUSE_SECONDS * 1.5)
        assert count_of(service, "unexpected error") <= failures + 1
        assert len(service.worker_pids) == 1
    finally:
        service.kill()


def is_refused_again(service: ServiceProcess, refusals: int) -> bool:
    """Whether one more reload was refused."""
    return count_of(service, "Reload refused") > refusals


def count_of(service: ServiceProcess, words: str) -> int:
    """How often these words are in the log."""
    return service.log().count(words)


def refused(instance, **environment: Any) -> subprocess.CompletedProcess[str]:
    """A start that fails."""
    service = ServiceProcess(
        instance, ASYNC_MODE="gunicorn", START_WAIT_SECONDS="0", LOG_LEVEL="error", **environment
    )
    return subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py"], cwd=ROOT,
        env=service.environment, capture_output=True, text=True, timeout=WITHIN_SECONDS,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"WORKERS": "2"}, "WORKERS is 2, and several workers need a database server"),
        ({"APP_ENV": "production", "PUBLIC_URL": "https://shop.example"}, "flask db upgrade"),
        (
            {"GUNICORN_CMD_ARGS": "-b 127.0.0.1:0 -b 127.0.0.1:0"},
            "listens on is 2, but the service needs one",
        ),
        (
            {"GUNICORN_CMD_ARGS": "-b 127.0.0.1:0", "TLS_PORT": "5443"},
            "listens on is 1, but the service needs two",
        ),
    ],
)
def test_a_start_that_cannot_succeed_ends_with_one_sentence(tmp_path, environment, words):
    """A restart loop would hide it."""
    ended = refused(tmp_path, **environment)
    assert ended.returncode != 0
    sentences = [line for line in ended.stderr.splitlines() if "cannot start" in line]
    assert len(sentences) == 1, ended.stderr
    assert words in sentences[0]
    assert "Traceback" not in ended.stderr


@pytest.mark.mysql
@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_of_metrics_that_cannot_be_written_stops_the_start(
    tmp_path, fresh_database, redis_url, workers
):
    """With several workers the master ended with a traceback, with one worker the worker did."""
    (tmp_path / "file").touch()
    ended = refused(
        tmp_path / "instance", WORKERS=workers, DATABASE_URL=fresh_database("mysql"),
        REDIS_URL=redis_url, BANK_URL="http://127.0.0.1:9",
        PROMETHEUS_MULTIPROC_DIR=tmp_path / "file" / "metrics",
    )  # fmt: skip
    assert ended.returncode == 4
    sentences = [line for line in ended.stderr.splitlines() if "cannot start" in line]
    assert len(sentences) == 1, ended.stderr
    assert "PROMETHEUS_MULTIPROC_DIR: " in sentences[0]
    assert "Traceback" not in ended.stderr


def test_a_file_of_metrics_that_cannot_be_deleted_stops_the_start(tmp_path):
    """The figures of the run before stayed, and nobody was told."""
    (tmp_path / "metrics" / "counter_1.db").mkdir(parents=True)
    options = f"-e ASYNC_MODE=gevent -e PROMETHEUS_MULTIPROC_DIR={tmp_path / 'metrics'}"
    ended = refused(tmp_path / "instance", GUNICORN_CMD_ARGS=options)
    assert ended.returncode == 4
    sentences = [line for line in ended.stderr.splitlines() if "cannot start" in line]
    assert len(sentences) == 1, ended.stderr
    assert "counter_1.db of an earlier run cannot be deleted: " in sentences[0]
    assert "Traceback" not in ended.stderr


def test_a_folder_of_metrics_by_gunicorns_option_allows_reloads(tmp_path):
    """Every reload was refused, with the sentence that the folder had changed."""
    options = f"-e ASYNC_MODE=gevent -e PROMETHEUS_MULTIPROC_DIR={tmp_path / 'metrics'}"
    with ServiceProcess(tmp_path, ASYNC_MODE="gunicorn", GUNICORN_CMD_ARGS=options) as service:
        assert service.process is not None
        pids = service.worker_pids
        service.process.send_signal(signal.SIGHUP)
        wait_until(replaced(service, pids), service)
        assert "Reload refused" not in service.log()


@pytest.mark.mysql
@pytest.mark.timeout(180)
def test_several_workers_share_the_folder_of_metrics_that_gunicorns_option_names(
    serve, fresh_database, redis_url, tmp_path
):
    """They used a folder of their own: the old files stayed in this one, and no new ones came."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "counter_1.db").touch()  # of an earlier run
    service = serve(
        ASYNC_MODE="gunicorn",
        WORKERS=2,
        DATABASE_URL=fresh_database("mysql"),
        REDIS_URL=redis_url,
        BANK_URL="http://127.0.0.1:9",
        GUNICORN_CMD_ARGS=f"-e PROMETHEUS_MULTIPROC_DIR={folder}",
    )

    def are_shared() -> bool:
        return counter_files(folder) == {f"counter_{pid}.db" for pid in service.worker_pids}

    wait_until(lambda: service.log().count("worker.serves") == 2, service)
    wait_until(are_shared, service)
    for _ in range(8):
        service.create()
    count = 'balcao_payment_events_total{event="payment.created"} 8.0'
    assert count in service.get("/metrics")[1].decode().splitlines()
    pids = service.worker_pids
    assert service.process is not None
    service.process.send_signal(signal.SIGHUP)
    wait_until(replaced(service, pids), service)
    wait_until(lambda: service.log().count("worker.serves") == 4, service)
    assert "Reload refused" not in service.log()
    # What ended workers have counted still counts.
    assert count in service.get("/metrics")[1].decode().splitlines()
    files = counter_files(folder)
    assert service.stop() == 0
    assert counter_files(folder) == files


def counter_files(folder: Path) -> set[str]:
    """The names of the files with the workers' counters."""
    return {file.name for file in folder.glob("counter_*.db")}


@pytest.mark.mysql
@pytest.mark.timeout(180)
def test_two_workers_share_one_port(serve, fresh_database, redis_url):
    """Events and metrics of both are one service; a poll could reach the wrong one, and is told."""
    service = serve(
        ASYNC_MODE="gunicorn",
        WORKERS=2,
        DATABASE_URL=fresh_database("mysql"),
        REDIS_URL=redis_url,
        BANK_URL="http://127.0.0.1:9",
    )
    wait_until(lambda: service.log().count("worker.serves") == 2, service)
    payment = service.create()
    with ExitStack() as stack:
        watchers = [
            stack.enter_context(Watcher(service.url, ["websocket"])) for _ in range(WATCHERS)
        ]
        for watcher in watchers:
            assert watcher.watch(payment)["status"] == "pending"
        # Each worker has its share, and every watcher hears of it from either.
        assert min(sockets_of(service)) >= WATCHERS // 8, sockets_of(service)
        assert service.tell(payment)[0] == 200
        for watcher in watchers:
            assert watcher.wait_for("payment-confirmed")["status"] == "confirmed"
        assert opened_sockets(service) == WATCHERS
        os.kill(service.worker_pids[0], signal.SIGKILL)
        wait_until(lambda: service.log().count("worker.serves") == 3, service)
        assert opened_sockets(service) == WATCHERS  # what a dead worker has counted still counts
    status, body = service.get("/socket.io/?EIO=4&transport=polling")
    assert (status, "websocket" in json.loads(body)) == (400, True)


def opened_sockets(service: ServiceProcess) -> int:
    """What all workers together have counted."""
    text = service.get("/metrics")[1].decode()
    match = re.search(
        r'^balcao_sockets_total{change="opened",kind="socket.io"} ([0-9.]+)$', text, re.M
    )
    return int(float(match[1])) if match else 0


def sockets_of(service: ServiceProcess) -> list[int]:
    """How many clients are connected to each worker, in ascending order."""
    port = f":{service.port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {
        f"socket:[{fields[9]}]"
        for fields in lines
        if fields[1].endswith(port) and fields[3] == ESTABLISHED
    }
    counts = []
    for pid in service.worker_pids:
        with suppress(OSError):  # it has just ended
            links = [str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()]
            counts.append(sum(link in inodes for link in links))
    return sorted(counts)
