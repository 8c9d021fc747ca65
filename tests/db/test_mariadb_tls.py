"""TLS to MariaDB, in a process of each mode, and for the tools of a backup."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from core.clock import SystemClock
from core.signing.development_ca import Identity, new_ca, new_client, new_server
from server.backup.manifest import BackupError
from server.backup.tools import check_mysql_tool, find_tool, mysql_options, run_tool
from tests.db.tls_commands import check_commands
from tests.support.parts import MissingPart, leave_out
from tests.support.servers import PrivateMariaDB
from tests.support.service import ROOT

pytestmark = [pytest.mark.mysql, pytest.mark.slow]

MODES = ["eventlet", "gevent", "threading"]
HOST, OTHER_HOST = "localhost", "127.0.0.1"
"""The certificate names the first one alone; both lead to the server."""
CERTIFIED = "certified"
"""A user who needs a certificate of a client."""


class TlsMariaDB(PrivateMariaDB):
    """A server that accepts connections with TLS alone, and shows a certificate for HOST."""

    def _prepare(self) -> None:
        super()._prepare()
        now = SystemClock().now()
        ca = new_ca(now)
        self._write("ca", ca)
        self._write("other-ca", new_ca(now))
        self._write("server", new_server(ca, [HOST], now))
        self._write("client", new_client(ca, "Balcão", now))

    def _write(self, name: str, identity: Identity) -> None:
        for suffix, content in (("pem", identity.certificate_pem), ("key", identity.key_pem)):
            path = self.folder / f"{name}.{suffix}"
            path.write_bytes(content)
            path.chmod(0o600)
            if self._user is not None:
                shutil.chown(path, self._user)

    def _command(self) -> list[str]:
        files = {"ca": "ca.pem", "cert": "server.pem", "key": "server.key"}
        options = [f"--ssl-{option}={self.folder / name}" for option, name in files.items()]
        return [*super()._command(), *options, "--require-secure-transport=ON"]


@dataclass(frozen=True)
class Case:
    """Options of an address, and what must come of it."""

    host: str
    options: dict[str, str]
    refusal: str | None = None
    """Words of the driver's refusal; None if the connection must be encrypted."""
    user: str = "root"


@pytest.fixture(scope="module")
def server() -> Iterator[TlsMariaDB]:
    """One server for the module."""
    with ExitStack() as running:
        try:
            one = running.enter_context(TlsMariaDB())
        except MissingPart as missing:
            leave_out(missing)
        engine = sa.create_engine(one.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE USER {CERTIFIED}@'127.0.0.1' REQUIRE X509"))
            connection.execute(sa.text(f"GRANT ALL ON *.* TO {CERTIFIED}@'127.0.0.1'"))
        yield one


@pytest.fixture(scope="module")
def cases(server: TlsMariaDB) -> dict[str, Case]:
    """By name."""

    def path(name: str) -> str:
        return str(server.folder / name)

    ca = {"ssl_ca": path("ca.pem")}
    client = {**ca, "ssl_cert": path("client.pem"), "ssl_key": path("client.key")}
    other = {"ssl_ca": path("other-ca.pem")}
    verify = "certificate verify failed"
    return {
        "no options": Case(OTHER_HOST, {}),
        "the right CA and host": Case(HOST, ca),
        "the right CA for any host": Case(OTHER_HOST, {**ca, "ssl_check_hostname": "false"}),
        "a client's certificate": Case(HOST, client, user=CERTIFIED),
        "another CA": Case(HOST, other, verify),
        "another CA for any host": Case(
            OTHER_HOST, {**other, "ssl_check_hostname": "false"}, verify
        ),
        "another host": Case(OTHER_HOST, ca, verify),
        "no client's certificate": Case(HOST, ca, "Access denied", user=CERTIFIED),
        "no TLS": Case(HOST, {"ssl_disabled": "true"}, "Access denied"),
    }


def address(server: TlsMariaDB, case: Case, database: str = "mysql") -> URL:
    """The address of a case, as an operator writes it."""
    return URL.create(
        "mysql", case.user, host=case.host, port=server.port, database=database, query=case.options
    )


@pytest.mark.parametrize("mode", MODES)
def test_the_driver_encrypts_and_checks_whom_it_talks_to(server, cases, mode):
    """A wrong certificate ends the connection: its owner could read every payment."""
    urls = {
        name: address(server, case).render_as_string(hide_password=False)
        for name, case in cases.items()
    }
    run = subprocess.run(
        [sys.executable, "-m", "tests.db.tls_answers", mode, json.dumps(urls)],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    answers = json.loads(run.stdout)
    assert answers.pop("hub") == mode
    assert set(answers) == set(cases)
    for name, case in cases.items():
        if case.refusal is None:
            assert answers[name]["error"] is None, (name, answers)
            assert answers[name]["protocol"].startswith("TLSv1."), (name, answers)
            assert answers[name]["big"] == 5_000_000, (name, answers)
        else:
            assert case.refusal in answers[name]["error"], (name, answers)


def error_of_tool(url: URL) -> str | None:
    """Why the tool of a restore cannot connect, or None if it can."""
    tool = find_tool("mariadb", package="mariadb-client")
    text = url.render_as_string(hide_password=False)
    try:
        check_mysql_tool(tool, text)
        with mysql_options(text) as options:
            run_tool(
                [tool, *options.arguments, "--execute", "SELECT 1"],
                options.variables,
                options.descriptors,
            )
    except BackupError as error:
        return str(error)
    return None


def test_the_tools_accept_and_refuse_what_the_driver_does(server, cases):
    """They were told the CA alone: they sent the password to every host with a certificate of it,
    and had no certificate for a server that asks for one.

    MariaDB's tools cannot check the CA without the host name, so a backup does not run them then.
    """
    errors = {name: error_of_tool(address(server, case)) for name, case in cases.items()}
    for name, case in cases.items():
        text = errors[name]
        if "ssl_check_hostname" in case.options:
            assert "would accept a connection without TLS" in (text or ""), name
        elif case.refusal is None:
            assert text is None, (name, text)
        else:
            assert text is not None, name
            assert "ERROR 2026" in text or "ERROR 1045" in text, (name, text)


class PlainMariaDB(PrivateMariaDB):
    """A server without TLS."""

    def _command(self) -> list[str]:
        return [*super()._command(), "--skip-ssl"]


def test_no_tool_connects_without_tls_where_the_driver_would_not(server):
    """MariaDB's tools fell back to plain text, and anybody on the way could read the rows."""
    ca, folder = str(server.folder / "ca.pem"), str(server.folder)
    any_host = {"ssl_check_hostname": "false"}
    with PlainMariaDB() as plain:
        for options in (
            {"ssl_ca": ca},
            {"ssl_ca": ca, **any_host},
            {"ssl_capath": folder},
            {"ssl_capath": folder, **any_host},
            {"ssl_cipher": "AES256-SHA"},
            any_host,
            {"ssl_cert": f"{folder}/client.pem", "ssl_key": f"{folder}/client.key"},
        ):
            url = URL.create(
                "mysql+pymysql", "root", host=HOST, port=plain.port, database="mysql", query=options
            )
            with pytest.raises(sa.exc.OperationalError, match="2026"):
                sa.create_engine(url, poolclass=sa.NullPool).connect()
            text = error_of_tool(url) or ""
            assert "ERROR 2026" in text or "would accept a connection without" in text, options
        for options in ({}, {"ssl_disabled": "true"}):
            assert error_of_tool(url.set(query=options)) is None, "no option asks for TLS"


@pytest.fixture
def database(server: TlsMariaDB) -> Iterator[str]:
    """The name of an empty database on the server."""
    name = "balcao_tls"
    engine = sa.create_engine(server.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
        yield name
        connection.execute(sa.text(f"DROP DATABASE {name}"))


@pytest.mark.timeout(240)
def test_the_commands_use_the_address_of_the_service(server, cases, database, tmp_path):
    """Migration, backup and its check take one address; a wrong one is refused by a sentence."""
    good = address(server, cases["a client's certificate"], database)
    names = ("another CA", "another host", "no client's certificate")
    refused = {address(server, cases[name], database): str(cases[name].refusal) for name in names}
    check_commands(good, refused, tmp_path)
