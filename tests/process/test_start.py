"""`python app.py`: the startup banner, stored secrets, and a clear sentence for bad settings."""

from __future__ import annotations

import os
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from server.reload_guard import METRICS_VARIABLE
from tests.process.starting import assert_one_sentence, refused_start
from tests.support.service import ROOT, SECRET, ServiceProcess

MODES = ("eventlet", "gevent", "threading")


@pytest.mark.parametrize("mode", MODES)
def test_a_first_start_prints_where_shop_bank_and_api_docs_are(serve, mode):
    """A developer who ran one command must not have to read the code to continue."""
    service = serve(ASYNC_MODE=mode, is_first_start=True)
    limit = time.monotonic() + 10
    while "API docs" not in service.log():
        assert time.monotonic() < limit, service.log()
        time.sleep(0.02)
    log = service.log()
    for path in ("/", "/bank/", "/docs"):
        assert f"{service.url}{path}\n" in log
        status, page = service.get(path, accept="text/html")
        assert (status, b"<html" in page) == (200, True), path
    assert f"({mode}, development)" in log
    assert "Traceback" not in log
    assert "Deprecat" not in log


def test_only_the_owner_reads_generated_secrets_and_they_stay_the_same(tmp_path):
    """Another account on the machine must not be able to sign a confirmation."""
    service = ServiceProcess(tmp_path / "instance", is_first_start=True)
    for name in ("SECRET_KEY", "BANK_WEBHOOK_SECRET", "DEMO_PIX_KEY"):
        service.environment.pop(name)
    secrets_of_starts = []
    for _ in range(2):
        with service:
            files = {path.name: path for path in service.instance.iterdir()}
            secrets = [files[name] for name in ("secret_key", "bank_webhook_secret")]
            for file in secrets:
                assert stat.S_IMODE(file.stat().st_mode) == 0o600
                assert file.stat().st_uid == os.getuid()
            secrets_of_starts.append([file.read_text() for file in secrets])
            assert not [name for name in files if name.startswith(".")]
    assert secrets_of_starts[0] == secrets_of_starts[1]
    for secret in secrets_of_starts[0]:
        assert secret.strip() not in service.log()


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def test_several_processes_may_start_first_at_once(serve, tmp_path, fresh_database, engine):
    """A process manager starts them together; one migrates, and the others wait."""
    is_sqlite = engine == "sqlite"
    database = f"sqlite:///{tmp_path / 'shared.sqlite3'}" if is_sqlite else fresh_database(engine)
    bank = f"sqlite:///{tmp_path / 'bank.sqlite3'}"

    def start(number: int) -> ServiceProcess:
        folder = tmp_path / str(number)
        return serve(
            instance=folder, DATABASE_URL=database, BANK_DATABASE_URL=bank, is_first_start=True
        )

    with ThreadPoolExecutor(3) as starting:
        started = list(starting.map(start, range(3)))
    payment = started[0].create()
    assert started[2].payment(payment["id"])["status"] == "pending"


BAD_SETTINGS = {
    "a port that is a word": ({"PORT": "abc"}, "PORT"),
    "a port out of range": ({"PORT": "70000"}, "PORT"),
    "a negative lifetime": ({"PAYMENT_TTL_SECONDS": "-1"}, "PAYMENT_TTL_SECONDS"),
    "an unknown mode": ({"ASYNC_MODE": "foo"}, "ASYNC_MODE"),
    "an unknown profile": ({"APP_ENV": "staging"}, "APP_ENV"),
    "an unknown level": ({"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
    "a short secret": ({"SECRET_KEY": "short"}, "SECRET_KEY"),
    "a secret in another form": ({"BANK_WEBHOOK_SECRET": "hello"}, "BANK_WEBHOOK_SECRET"),
    "a missing secret file": ({"REDIS_URL_FILE": "/nowhere"}, "REDIS_URL_FILE"),
    "an unknown database": ({"DATABASE_URL": "oracle://x/y"}, "DATABASE_URL"),
    "a database's port": ({"DATABASE_URL": "mysql://u@127.0.0.1:x/y"}, "DATABASE_URL"),
    "a queue that is not Redis": ({"REDIS_URL": "http://127.0.0.1"}, "REDIS_URL"),
    "a queue's port": ({"REDIS_URL": "redis://127.0.0.1:x/0"}, "REDIS_URL"),
    "an address no bank can read": ({"PUBLIC_URL": "http://intranet"}, "PUBLIC_URL"),
    "an address not of this machine": ({"HOST": "192.0.2.1"}, "192.0.2.1"),
    "an invalid Pix key": ({"DEMO_PIX_KEY": "key"}, "DEMO_PIX_KEY"),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_a_bad_setting_stops_the_start_with_its_name(tmp_path, case):
    """The operator reads one line at night, and it must be enough."""
    changes, word = BAD_SETTINGS[case]
    assert_one_sentence(refused_start(tmp_path, changes), word)


def test_a_folder_of_metrics_that_cannot_be_written_is_named(tmp_path):
    """Both ended with a traceback of Prometheus' client library."""
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "metrics"):
        ended = refused_start(tmp_path / "instance", {METRICS_VARIABLE: str(folder)})
        assert_one_sentence(ended, METRICS_VARIABLE, f"{folder} cannot be written", "Not a dir")


def test_a_missing_folder_of_metrics_is_created_and_an_empty_name_is_none(serve, tmp_path):
    """An empty name once was the folder in which the service was started."""
    folder = tmp_path / "new" / "metrics"
    before = set(ROOT.glob("*.db"))
    for name in (str(folder), ""):
        service = serve(PROMETHEUS_MULTIPROC_DIR=name)
        assert b"balcao_http_request_seconds" in service.get("/metrics")[1]
        assert service.stop() == 0
    assert list(folder.glob("*.db"))
    assert set(ROOT.glob("*.db")) == before


def test_a_command_adds_no_numbers_to_those_of_the_service(tmp_path):
    """Each left files in the folder, and gauges of zero that were newer than the service's."""
    folder = tmp_path / "metrics"
    service = ServiceProcess(tmp_path / "instance", PROMETHEUS_MULTIPROC_DIR=folder)
    run = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", "db", "current"], cwd=ROOT,
        env=service.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert not folder.exists()


def flask_with_wrong_port(instance, *arguments):
    """A `flask` command whose settings are wrong."""
    return subprocess.run(
        [sys.executable, "-m", "flask", *arguments], cwd=ROOT,
        env=ServiceProcess(instance, PORT=99_999).environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [["doctor"], ["routes"], ["db", "--help"]])
def test_a_wrong_setting_ends_a_command_with_one_sentence(tmp_path, arguments):
    """`flask doctor` is what somebody runs whose service does not start; it had a traceback."""
    run = flask_with_wrong_port(tmp_path / "instance", "--app", "app", *arguments)
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.startswith("Error: ")
    assert run.stderr.count("\n") == 1
    assert "PORT should be less than or equal to 65535" in run.stderr


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--app", "app", "--help"]])
def test_a_wrong_setting_is_one_sentence_beside_the_help(tmp_path, arguments):
    """The help had a traceback of 30 lines above it."""
    run = flask_with_wrong_port(tmp_path / "instance", *arguments)
    (sentence,) = [line for line in run.stderr.splitlines() if line.startswith("Error: ")]
    assert "PORT should be less than or equal to 65535" in sentence
    assert "Traceback" not in run.stderr
    assert "routes" in run.stdout + run.stderr  # Flask's own command


@pytest.mark.parametrize("mode", MODES)
def test_a_port_that_is_taken_is_named(tmp_path, mode):
    """The commonest failure of a second start."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        ended = refused_start(tmp_path, {"PORT": port, "ASYNC_MODE": mode})
    assert_one_sentence(ended, port, "in use")


@pytest.mark.parametrize("names", [("SECRET_KEY",), ("BANK_WEBHOOK_SECRET",)])
def test_production_does_not_start_without_its_secrets(tmp_path, names):
    """A secret generated at the start would differ at the next start and on another machine."""
    ended = refused_start(tmp_path, {"APP_ENV": "production"}, unset=names)
    assert_one_sentence(ended, *names)


def test_production_does_not_migrate_by_itself(tmp_path):
    """In production a migration is a decision, made after a backup."""
    ended = refused_start(
        tmp_path, {"APP_ENV": "production", "PUBLIC_URL": "https://pay.example.com"}
    )
    assert_one_sentence(ended, "older than this code", "flask db upgrade")


def test_a_database_newer_than_the_code_is_left_alone(serve, tmp_path):
    """After a downgrade, old code must not write into newer tables."""
    database = tmp_path / "balcao.sqlite3"
    url = f"sqlite:///{database}"
    assert serve(DATABASE_URL=url).stop() == 0
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffff'")
    assert_one_sentence(
        refused_start(tmp_path, {"DATABASE_URL": url}), "newer than this code", "ffff"
    )


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://bob:hunter2hunter2@127.0.0.1:1/x", "connect"),
        ("postgresql://bob:hunter2hunter2@127.0.0.1:1/x", "connection"),
        ("sqlite:////nowhere/at/all.sqlite3", "unable to open"),
    ],
)
@pytest.mark.parametrize("name", ["DATABASE_URL", "BANK_DATABASE_URL"])
def test_a_database_that_cannot_be_opened_is_named_without_its_password(tmp_path, name, url, words):
    """Both the service's and the bank's database; the line may end up in a ticket."""
    ended = refused_start(tmp_path, {name: url})
    assert_one_sentence(ended, words)
    assert "hunter2" not in ended.stderr
    assert ("bank's" in ended.stderr) == (name == "BANK_DATABASE_URL")


@pytest.mark.parametrize("name", ["DATABASE_URL", "BANK_DATABASE_URL"])
def test_a_file_that_is_not_a_database_is_named(tmp_path, name):
    """A wrong path must not be overwritten, and prints no traceback."""
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Bob,\n" * 1000)
    ended = refused_start(tmp_path, {name: f"sqlite:///{letter}"})
    assert_one_sentence(ended, "file is not a database")
    assert letter.read_text() == "Dear Bob,\n" * 1000


def test_an_instance_folder_that_cannot_be_written_is_named(tmp_path):
    """An error at the start is better than lost secrets at the next start."""
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Bob,")
    ended = refused_start(
        tmp_path, {"INSTANCE_DIR": str(letter / "instance")}, unset=("SECRET_KEY",)
    )
    assert_one_sentence(ended, str(letter))


def test_secrets_may_come_from_files(tmp_path, serve):
    """Container platforms mount secrets as files; their final newline is not part of the secret."""
    secret = tmp_path / "bank_webhook_secret"
    secret.write_text(f"{SECRET}\n")
    service = serve(BANK_WEBHOOK_SECRET="", BANK_WEBHOOK_SECRET_FILE=str(secret))
    assert service.tell(service.create())[0] == 200
    assert not Path(service.instance / "bank_webhook_secret").exists()
