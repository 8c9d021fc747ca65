"""`flask doctor` beside a real service: each part that is broken gets a sentence."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask_migrate import downgrade

from app import create_app
from config import parts_of
from core.signing.development_ca import new_ca, new_server
from repository.server_facts import ServerFacts
from server.check_results import CheckResult
from server.doctor import commands, data_checks
from server.schema import MIGRATIONS
from tests.support.clocks import FrozenClock
from tests.support.nginx import PrivateNginx
from tests.support.parts import MissingPart, leave_out
from tests.support.ports import free_port
from tests.support.service import ROOT, ServiceProcess, close_app, settings_for
from web.doctor_echo import PATH, echo_token


@pytest.fixture
def examine(tmp_path: Path) -> Iterator[Callable[..., Result]]:
    """Run `flask doctor` with settings of its own: examine(url, trusted_proxies=1) → result."""
    apps: list[Flask] = []

    def run(database_url: str, *args: str, **changes: Any) -> Result:
        settings = settings_for(database_url, tmp_path / "doctor", **changes)
        apps.append(create_app(settings))
        return apps[-1].test_cli_runner().invoke(args=["doctor", "--json", *args])

    yield run
    for app in apps:
        close_app(app)


def results(result: Result) -> dict[str, tuple[str, str]]:
    """State and sentence of each check."""
    body = json.loads(result.output)
    assert (result.exit_code == 0) == body["ok"]
    return {one["name"]: (one["state"], one["detail"]) for one in body["checks"]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service that trusts one proxy."""
    folder = tmp_path_factory.mktemp("service")
    with ServiceProcess(folder, TRUSTED_PROXIES=1) as process:
        yield process


@pytest.fixture(scope="module")
def nginx(service: ServiceProcess) -> Iterator[PrivateNginx]:
    """nginx in front of the service, with the files of the containers."""
    try:
        proxy = PrivateNginx(service.port)
    except MissingPart as missing:
        leave_out(missing)
    with proxy:
        yield proxy


def database_of(service: ServiceProcess) -> str:
    """The address of its SQLite file."""
    return f"sqlite:///{service.instance / 'balcao.sqlite3'}"


def test_a_healthy_installation_is_well(examine, service, nginx):
    """Exit status 0, and a plain table for people."""
    result = examine(database_of(service), public_url=nginx.url, trusted_proxies=1)
    by_name = results(result)
    assert {name for name, (state, _) in by_name.items() if state == "fail"} == {"bank"}
    assert by_name["trusted proxies"][0] == "ok"
    assert by_name["PUBLIC_URL"][0] == "ok"
    assert by_name["proxy headers"][0] == "ok"
    assert by_name["schema"][0] == "ok"
    assert by_name["clock of service"][0] == "ok"


@pytest.mark.parametrize(("trusted", "words"), [(0, "share the limits"), (2, "choose their own")])
def test_a_wrong_number_of_proxies_is_told_by_what_arrives(examine, service, nginx, trusted, words):
    """One too few and all clients share one address; one too many and each may invent its own."""
    result = examine(database_of(service), public_url=nginx.url, trusted_proxies=trusted)
    state, detail = results(result)["trusted proxies"]
    assert state == "fail"
    assert words in detail
    assert "Set TRUSTED_PROXIES=1" in detail


def test_a_trusted_proxy_that_is_not_there_is_told(examine, service):
    """The service is reached directly, so it believes the address that a client writes."""
    result = examine(database_of(service), public_url=service.url, trusted_proxies=1)
    state, detail = results(result)["trusted proxies"]
    assert state == "fail"
    assert "Set TRUSTED_PROXIES=0" in detail


def test_a_folder_of_metrics_that_cannot_be_written_is_a_row(service, tmp_path):
    """The command runs all the same, and creates nothing."""
    (tmp_path / "file").touch()
    for folder, state in ((tmp_path / "new" / "metrics", "ok"), (tmp_path / "file", "fail")):
        run = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app", "doctor", "--json"], cwd=ROOT,
            env={**service.environment, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        rows = {one["name"]: one for one in json.loads(run.stdout)["checks"]}
        assert rows["metrics"]["state"] == state, run.stdout
        assert str(folder) in rows["metrics"]["detail"]
    assert not (tmp_path / "new").exists()


def test_strangers_see_no_such_route(service):
    """Without a token of this SECRET_KEY the route does not exist."""
    settings = settings_for("sqlite://", service.instance, secret_key="another " * 8)
    for headers in ({}, {"X-Doctor": "x.y.z"}, {"X-Doctor": echo_token(settings)}):
        assert service.request("GET", PATH, headers=headers)[0] == 404


@pytest.mark.parametrize("timestamp", [10**12, 10**15, 10**19])
def test_a_token_whose_time_does_not_exist_is_as_none(service, monkeypatch, timestamp):
    """It once was a 500."""
    monkeypatch.setattr("itsdangerous.TimestampSigner.get_timestamp", lambda _self: timestamp)
    token = echo_token(settings_for("sqlite://", service.instance))
    status, body, _ = service.request("GET", PATH, headers={"X-Doctor": token})
    assert (status, json.loads(body)["code"]) == (404, "not-found")


def test_an_address_that_leads_elsewhere_is_told(examine, service):
    """Another service, another secret, or nobody."""
    other = examine(database_of(service), public_url=service.url, secret_key="another " * 8)
    assert "PUBLIC_URL leads elsewhere" in results(other)["PUBLIC_URL"][1]
    nobody = examine(database_of(service), public_url=f"http://127.0.0.1:{free_port()}")
    assert "cannot be reached" in results(nobody)["PUBLIC_URL"][1]
    assert nobody.exit_code == 1


def test_old_and_empty_schemas_name_the_command(examine, fresh_database, empty_database, tmp_path):
    """The operator forgot to migrate."""
    old, empty = fresh_database("sqlite"), empty_database("sqlite")
    app = create_app(settings_for(old, tmp_path / "old"))
    with app.app_context():
        downgrade(directory=str(MIGRATIONS), revision="-1")
    close_app(app)
    for url in (old, empty):
        state, detail = results(examine(url))["schema"]
        assert state == "fail"
        assert "run `flask db upgrade`" in detail


def test_a_database_and_a_redis_that_are_away_are_told(examine):
    """Each check ends by itself, and none hides the others."""
    port = free_port()
    result = examine(f"mysql://root@127.0.0.1:{port}/x", redis_url=f"redis://127.0.0.1:{port}/0")
    by_name = results(result)
    for name in ("database", "schema", "jobs", "Redis"):
        assert by_name[name][0] == "fail", by_name
    assert by_name["disk"][0] == "ok"


def test_a_check_that_hangs_is_cut_off(examine, fresh_database, monkeypatch):
    """A firewall that swallows packets must not hang the doctor."""
    monkeypatch.setattr(commands, "SECONDS_MAX", 1.0)
    ending = threading.Event()

    def hang(_settings: object) -> Iterator[CheckResult]:
        ending.wait(60)
        yield CheckResult("hanging", "ok", "")

    monkeypatch.setitem(commands.CHECKS, "hanging", hang)
    result = examine(fresh_database("sqlite"))
    ending.set()
    assert results(result)["hanging"] == ("fail", "No answer within 1 s.")


def test_a_certificate_that_nobody_trusts_is_told(examine, fresh_database, tmp_path):
    """Shoppers' browsers would show a warning instead of the payment page."""
    authority = new_ca(FrozenClock().now())
    server = new_server(authority, ["127.0.0.1"], FrozenClock().now())
    for name, pem in (("cert.pem", server.certificate_pem), ("key.pem", server.key_pem)):
        (tmp_path / name).write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                    with closing(connection):
                        context.wrap_socket(connection, server_side=True).close()
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        threading.Thread(target=answer, daemon=True).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        by_name = results(examine(fresh_database("sqlite"), public_url=url))
    assert by_name["certificate"][0] == "fail"
    assert "certificate" in by_name["certificate"][1]
    assert by_name["PUBLIC_URL"][0] == "fail"


@pytest.mark.parametrize(("days", "state"), [(-1, "fail"), (0, "warn"), (29, "warn"), (30, "ok")])
def test_certificates_are_judged_by_their_days(days, state):
    """Warned at the same days as the job `certificates` warns."""
    assert data_checks.judge_end("x", days).state == state


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(0, "ok"), (2, "ok"), (2.1, "warn"), (-30, "warn"), (30.1, "fail"), (-3600, "fail")],
)
def test_clocks_are_judged_by_their_difference(seconds, state):
    """Two seconds are what a busy machine needs to answer; thirty end leases too early."""
    result = data_checks.judge_clock("clock", timedelta(seconds=seconds))
    assert result.state == state
    if state != "ok":
        assert ("behind" in result.detail) == (seconds > 0)


@pytest.mark.parametrize("any_database_url", ["mysql", "postgres"], indirect=True)
@pytest.mark.mysql
@pytest.mark.postgres
def test_a_server_that_may_lose_commits_is_told(examine, any_database_url):
    """The tests' own servers are set so, because they need not survive a power cut."""
    by_name = results(examine(any_database_url))
    assert by_name["database"][0] == "ok"
    assert by_name["durability"][0] == "warn"
    assert by_name["connections"][0] == "ok"
    assert by_name["clock of database"][0] == "ok"


@pytest.mark.parametrize("any_database_url", ["mysql"], indirect=True)
@pytest.mark.mysql
def test_pools_of_another_size_are_counted(examine, any_database_url):
    """DATABASE_POOL_SIZE is about one of two pools."""
    state, detail = results(examine(any_database_url, database_pool_size=1000))["connections"]
    assert state == "fail"
    assert "up to 2000 of" in detail


def test_a_service_whose_clock_is_wrong_is_told(examine, serve):
    """An hour ahead, every payment expires at once. The doctor's token must count all the same."""
    libraries = sorted(Path("/").glob("usr/lib/*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        leave_out(MissingPart("libfaketime (Debian: faketime)"))
    ahead = serve(LD_PRELOAD=libraries[0], FAKETIME="+3600s", FAKETIME_DONT_FAKE_MONOTONIC="1")
    state, detail = results(examine(database_of(ahead), public_url=ahead.url))["clock of service"]
    assert state == "fail"
    assert "s ahead of this clock" in detail


def test_letters_and_isolation_of_the_database_are_judged(monkeypatch, examine, fresh_database):
    """Latin-1 loses emoji; REPEATABLE READ reads old rows after waiting for a lock."""
    facts = ServerFacts("10.11-MariaDB", "REPEATABLE READ", "latin1", {}, 40, None)
    monkeypatch.setattr(data_checks, "read_facts", lambda: facts)
    by_name = results(examine(fresh_database("sqlite")))
    assert by_name["database"][0] == "fail"
    assert "READ COMMITTED" in by_name["database"][1]
    assert "UTF-8" in by_name["database"][1]


def test_the_table_is_for_people(app):
    """One line for each check; the state is a word, not only a colour."""
    result = app.test_cli_runner().invoke(args=["doctor"])
    lines = result.output.splitlines()
    assert len(lines) >= len(commands.CHECKS)
    for line in lines:
        assert line.split("  ")[-1].endswith("."), line
    assert parts_of(app).redis is None
