"""`flask backup` beside a service that serves, and `flask restore`, on every engine."""

from __future__ import annotations

import errno
import json
import os
import resource
import secrets
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask

from core.runtime.setting_urls import checked_database_url
from db_models import Payment
from payments.location import key_ring
from repository import backups
from repository.backups import PostgresPlace
from server.backup import engines, tools
from server.backup.manifest import BackupError
from server.backup.sql_script import ScriptSums
from tests.db.tables import Tables, payment_row
from tests.support.plugin import SERVERS
from tests.support.ports import free_port
from tests.support.service import BankInTest, close_app, ready_app, settings_for

PAYMENTS = 5


@pytest.fixture
def make_app(tmp_path: Path, clock: Any) -> Iterator[Callable[[str], Flask]]:
    """An app on a database: make_app(url)."""
    apps = []

    def make(url: str, **changes: Any) -> Flask:
        apps.append(ready_app(settings_for(url, tmp_path / "instance", **changes), clock))
        return apps[-1]

    yield make
    for app in apps:
        close_app(app)


@pytest.fixture
def app(make_app: Callable[[str], Flask], any_database_url: str, clock: Any) -> Flask:
    """The service with some payments, one of them paid, with letters that are easily lost."""
    app = make_app(any_database_url)
    client = app.test_client()
    bank = BankInTest(client, clock)
    for number in range(PAYMENTS):
        body = {"value": f"{number + 1}.05", "description": f"Pão '{number}'\\,\n(é); 🧀"}
        answer = client.post("/payments/pix", json=body)
        assert answer.status_code == 201
    assert bank.confirm(answer.get_json()["payment"]).status_code == 200
    with app.app_context():
        key_ring().rotate()
    return app


def run(app: Flask, *args: str) -> Result:
    """Run a command of `flask`."""
    return app.test_cli_runner().invoke(args=list(args))


def back_up(app: Flask, folder: Path) -> Path:
    """Back up into this folder; return the path of the manifest."""
    result = run(app, "backup", "--to", str(folder))
    assert result.exit_code == 0, result.output
    return Path(result.output.splitlines()[0])


def states(result: Result) -> dict[str, set[str]]:
    """The states of each check in the printed table."""
    lines = [line.split("  ") for line in result.output.splitlines()]
    answers: dict[str, set[str]] = {}
    for line in lines:
        name, state = [cell.strip() for cell in line if cell.strip()][:2]
        answers.setdefault(name, set()).add(state)
    return answers


@contextmanager
def payments_created(url: str) -> Iterator[list[str]]:
    """Insert payments in transactions of their own, without a pause."""
    tables, ending, txids = Tables(url), threading.Event(), list[str]()
    merchant = tables.merchant_id()

    def insert() -> None:
        while not ending.is_set():
            row = payment_row(merchant, description="criado durante a cópia")
            tables.insert(Payment, row)
            txids.append(row["txid"])

    thread = threading.Thread(target=insert, daemon=True)
    thread.start()
    try:
        yield txids
    finally:
        ending.set()
        thread.join(30)


def test_a_backup_opens_and_adds_up(app, tmp_path):
    """The check restores the copy beside the database and compares every sum."""
    manifest = back_up(app, tmp_path / "backups")
    stored = json.loads(manifest.read_text())
    assert stored["tables"]["payments"] == {
        "rows": PAYMENTS,
        "amount_centavos": sum(100 * n + 5 for n in range(1, PAYMENTS + 1)),
        "refunded_centavos": 0,
        "refunding_centavos": 0,
    }
    for path in manifest.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert len(list(manifest.parent.iterdir())) == 2, "no temporary file is left"

    result = run(app, "restore", "--check", str(manifest))
    assert result.exit_code == 0, result.output
    assert states(result) == {
        name: {"ok"} for name in ("file", "schema", "sums", "books", "signing key")
    }


def test_the_sums_are_those_of_the_dump_while_payments_are_created(app, any_database_url, tmp_path):
    """Sums of a moment before or after the dump would differ, and every check would fail."""
    with payments_created(any_database_url) as txids:
        manifest = back_up(app, tmp_path)
    assert txids
    result = run(app, "restore", "--check", str(manifest))
    assert states(result)["sums"] == {"ok"}, result.output


def test_a_restored_database_has_every_row(app, any_database_url, tmp_path):
    """Rows, letters and keys come back; a database with tables is replaced only by force."""
    manifest = back_up(app, tmp_path)
    before = _payments(any_database_url)
    assert len(before) == PAYMENTS
    refused = run(app, "restore", str(manifest))
    assert refused.exit_code == 1
    assert "--force" in refused.output
    app.test_client().post("/payments/pix", json={"value": 1})
    close_app(app)
    result = run(app, "restore", "--force", str(manifest))
    assert result.exit_code == 0, result.output
    assert _payments(any_database_url) == before


def test_a_restore_that_cannot_begin_changes_nothing(app, any_database_url, tmp_path, monkeypatch):
    """A missing tool or a full disk is noticed before the old rows are gone."""
    manifest = back_up(app, tmp_path)
    before = _payments(any_database_url)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "copy")

    with monkeypatch.context() as patches:
        patches.setattr(engines, "find_tool", fail)
        patches.setattr(shutil, "copyfile", fail)
        result = run(app, "restore", "--force", str(manifest))
    assert (result.exit_code, result.output) == (1, "Error: copy: No space left on device.\n")
    assert _payments(any_database_url) == before


@pytest.mark.parametrize("any_database_url", ["sqlite"], indirect=True)
def test_a_backup_without_room_leaves_nothing(app, tmp_path):
    """One sentence, and no file that looks like a backup."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        result = run(app, "backup", "--to", str(tmp_path / "backups"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.exit_code == 1
    assert result.output.startswith("Error: The copy cannot be written: ")
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.parametrize("any_database_url", SERVERS, indirect=True)
def test_the_tools_get_the_writable_host_of_a_list(make_app, any_database_url, tmp_path):
    """The tools of the engines know no lists, and the first host may be away."""
    url = sa.make_url(any_database_url)
    password = f":{url.password}" if url.password else ""
    places = f"127.0.0.1:{free_port()},127.0.0.1:{url.port}"
    scheme = f"{url.drivername}://{url.username}{password}@"
    app = make_app(checked_database_url(f"{scheme}{places}/{url.database}"))
    manifest = back_up(app, tmp_path)
    for option in ("--check", "--force"):
        result = run(app, "restore", option, str(manifest))
        assert result.exit_code == 0, result.output


def test_a_relative_file_is_that_of_the_service(make_app, tmp_path, monkeypatch):
    """A path of SQLite is relative to the folder of the app, not to where the command runs."""
    monkeypatch.setattr(Flask, "auto_find_instance_path", lambda _: str(tmp_path / "home"))
    app = make_app("sqlite:///service.sqlite3")
    manifest = back_up(app, tmp_path)
    assert run(app, "restore", str(manifest)).exit_code == 1
    close_app(app)
    file = tmp_path / "home" / "service.sqlite3"
    file.unlink()
    assert run(app, "restore", str(manifest)).exit_code == 0
    assert file.exists()


def test_a_copy_that_is_not_the_backup_is_refused(app, any_database_url, tmp_path):
    """A file that was cut off, or changed on its way, must not be found out at the real restore."""
    manifest = back_up(app, tmp_path)
    file = manifest.with_suffix("")
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 1)
    for args in (["--check"], ["--force"]):
        result = run(app, "restore", *args, str(manifest))
        assert result.exit_code == 1
        assert states(result) == {"file": {"fail"}}
    assert len(_payments(any_database_url)) == PAYMENTS
    file.unlink()
    assert "is missing" in run(app, "restore", "--check", str(manifest)).output
    manifest.unlink()
    result = run(app, "restore", "--check", str(manifest))
    assert "not complete" in result.output


def test_sums_and_books_that_are_wrong_are_named(app, any_database_url, tmp_path):
    """A backup of a database that somebody has changed by hand restores well, and is wrong."""
    tables = Tables(any_database_url)
    confirmed = "UPDATE payments SET status = 'confirmed', end_to_end_id = 'E1', resolved_at = "
    tables.change(f"{confirmed}created_at WHERE status = 'pending' AND amount_centavos = 105")
    tables.change("DELETE FROM payment_events WHERE sequence = 2")
    manifest = back_up(app, tmp_path)
    stored = json.loads(manifest.read_text())
    stored["tables"]["receipts"]["rows"] += 1
    manifest.write_text(json.dumps(stored))

    result = run(app, "restore", "--check", str(manifest))
    assert result.exit_code == 1
    assert "receipts.rows is 1, not 2" in result.output
    assert "Not true of 1 payments: confirmed payments have an accepted receipt" in result.output
    assert "Not true of 1 payments: events of a payment are numbered" in result.output


@pytest.mark.parametrize("any_database_url", ["sqlite"], indirect=True)
def test_a_backup_of_another_secret_key_is_named(app, make_app, any_database_url, tmp_path):
    """Without that key the restored service could sign nothing that banks know."""
    manifest = back_up(app, tmp_path)
    other = make_app(any_database_url, secret_key="another key of a service in tests")
    result = run(other, "restore", "--check", str(manifest))
    assert states(result)["signing key"] == {"fail"}
    assert result.exit_code == 1


@pytest.mark.parametrize("any_database_url", ["postgres"], indirect=True)
def test_the_tools_go_where_the_service_goes(make_app, any_database_url, tmp_path):
    """The options of an address may name its host, and libpq's variables too.

    The tools would write into another server otherwise, after the tables of this one are dropped.
    """
    address = sa.make_url(any_database_url)
    options = {"host": str(address.host), "port": str(address.port)}
    url = address.set(host=None, port=None).update_query_dict(options)
    own_app = make_app(url.render_as_string(hide_password=False))
    manifest = back_up(own_app, tmp_path)
    created = own_app.test_client().post("/payments/pix", json={"value": 10})
    assert created.status_code == 201
    result = run(own_app, "restore", "--force", str(manifest))
    assert result.exit_code == 0, result.output
    with backups.connected(any_database_url) as connection:
        assert connection.scalar(sa.text("SELECT COUNT(*) FROM payments")) == 0


@pytest.mark.parametrize("any_database_url", SERVERS, indirect=True)
def test_a_user_without_rights_learns_which_right_is_missing(
    app, make_app, any_database_url, tmp_path
):
    """The service's own user may often not create databases. Its password has odd letters."""
    manifest = back_up(app, tmp_path)
    address = sa.make_url(any_database_url)
    password = "a:b\\c\"d'e"
    user = f"balcao_{secrets.token_hex(4)}"
    quoted = password.replace("\\", "\\\\" if address.get_backend_name() == "mysql" else "\\")
    quoted = quoted.replace("'", "''")
    tables = Tables(any_database_url)
    if address.get_backend_name() == "mysql":
        tables.change(sa.text(f"CREATE USER {user} IDENTIFIED BY '{quoted}'".replace(":", "\\:")))
        tables.change(f"GRANT ALL ON {address.database}.* TO {user}")
    else:
        tables.change(sa.text(f"CREATE USER {user} PASSWORD '{quoted}'".replace(":", "\\:")))
        tables.change(f"GRANT pg_read_all_data TO {user}")
    try:
        url = address.set(username=user, password=password).render_as_string(hide_password=False)
        limited = make_app(url)
        assert back_up(limited, tmp_path / "own").exists(), "a backup needs no such right"
        result = run(limited, "restore", "--check", str(manifest))
        assert result.exit_code == 1
        assert "needs the right to create and drop databases" in result.output
        assert password not in result.output
    finally:
        if address.get_backend_name() == "postgresql":
            tables.change(f"DROP OWNED BY {user}")
        tables.change(f"DROP USER {user}")


@pytest.mark.parametrize("has_memory_files", [True, False])
def test_passwords_are_in_private_files_alone(monkeypatch, has_memory_files):
    """Other users of the machine can read the arguments of every process."""
    if not has_memory_files:
        monkeypatch.delattr(os, "memfd_create")
    password = 'pass"word\\of:alice'
    address = sa.URL.create("mysql+pymysql", "alice", password, "db.example", 3307, "balcao")
    url = address.render_as_string(hide_password=False)
    with tools.mysql_options(url) as options:
        path = Path(options.arguments[0].removeprefix("--defaults-extra-file="))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert 'password="pass\\"word\\\\of:alice"' in path.read_text()
        assert path.is_relative_to("/proc/self/fd") == has_memory_files
    assert not path.exists()
    place = PostgresPlace("db.example", 5433, "alice", "balcao", password, {"sslmode": "require"})
    with tools.postgres_options(place) as options:
        assert password not in " ".join(options.arguments)
        assert options.variables["PGSSLMODE"] == "require"
        path = Path(options.variables["PGPASSFILE"])
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text() == '*:*:*:*:pass"word\\\\of\\:alice\n'


def test_a_tool_reads_its_password_and_no_folder_has_it(monkeypatch, tmp_path):
    """A backup that was killed left the password in a temporary file."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = PostgresPlace("db.example", 5433, "alice", "balcao", "pass-9f3a", {})
    with tools.postgres_options(place) as options:
        path = options.variables["PGPASSFILE"]
        with tools.running_tool(["cat", path], {}, options.descriptors) as pipes:
            assert pipes.output.read() == b"*:*:*:*:pass-9f3a\n"
        assert list(tmp_path.iterdir()) == []


def test_a_missing_tool_is_named_with_its_package():
    """The image of the service has no tools of databases."""
    with pytest.raises(BackupError, match=r"no-such-dump is not.*install some-client"):
        tools.find_tool("no-such-dump", package="some-client")


def test_money_is_counted_whatever_the_texts_contain():
    """Quotes, brackets and commas of a description must not move a column."""
    sums = ScriptSums(("payments", "accounts"))
    head = b"INSERT INTO `payments` (`id`, `description`, `amount_centavos`,"
    head += b" `refunded_centavos`, `refunding_centavos`) VALUES ("
    for text in (b"'a, (b) \\'c\\' \\\\'", b"'it''s'", b"NULL", b"''", b"0xABCD"):
        sums.count(head + b"1," + text + b",105,5,0);\n")
    sums.count(b"INSERT INTO `accounts` (`id`) VALUES (1);\n")
    sums.count(b"INSERT INTO `bank_things` (`id`) VALUES (1);\n")
    sums.count(b"-- Dump completed on 2026-11-30\n")
    assert sums.is_complete
    assert sums.tables == {
        "payments": {
            "rows": 5,
            "amount_centavos": 525,
            "refunded_centavos": 25,
            "refunding_centavos": 0,
        },
        "accounts": {"rows": 1},
    }


def _payments(url: str) -> list[Any]:
    return Tables(url).rows("SELECT * FROM payments ORDER BY id")
