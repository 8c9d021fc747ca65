"""TLS to PostgreSQL, in a process of each mode, and for the tools of a backup."""

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
from core.signing.development_ca import new_ca, new_server
from tests.db.tls_commands import check_commands
from tests.support.parts import MissingPart, leave_out
from tests.support.servers import PrivatePostgreSQL
from tests.support.service import ROOT

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

MODES = ["eventlet", "threading"]
HOST, OTHER_HOST = "localhost", "127.0.0.1"
"""The certificate names the first one alone; both lead to the server."""
RULES = "hostssl all all all trust\nhostnossl all all all reject\n"


class TlsPostgreSQL(PrivatePostgreSQL):
    """A server that accepts connections with TLS alone, and shows a certificate for HOST."""

    def _prepare(self) -> None:
        super()._prepare()
        now = SystemClock().now()
        ca, other = new_ca(now), new_ca(now)
        server = new_server(ca, [HOST], now)
        (self.folder / "ca.pem").write_bytes(ca.certificate_pem)
        (self.folder / "other-ca.pem").write_bytes(other.certificate_pem)
        (self.data / "server.crt").write_bytes(server.certificate_pem)
        key = self.data / "server.key"
        key.write_bytes(server.key_pem)
        key.chmod(0o600)
        (self.data / "pg_hba.conf").write_text(RULES)
        if self._user is not None:
            for path in (key, self.data / "server.crt", self.data / "pg_hba.conf"):
                shutil.chown(path, self._user)

    def _command(self) -> list[str]:
        return [*super()._command(), "-c", "ssl=on"]

    @property
    def url(self) -> str:
        return f"{super().url}?sslmode=require"


@dataclass(frozen=True)
class Case:
    """Options of an address, and what must come of it."""

    host: str
    options: dict[str, str]
    refusal: str | None = None
    """Words of the refusal; None if the connection must be encrypted."""


@pytest.fixture(scope="module")
def server() -> Iterator[TlsPostgreSQL]:
    """One server for the module."""
    with ExitStack() as running:
        try:
            one = running.enter_context(TlsPostgreSQL())
        except MissingPart as missing:
            leave_out(missing)
        yield one


@pytest.fixture(scope="module")
def cases(server: TlsPostgreSQL) -> dict[str, Case]:
    """By name."""
    ca, other = (str(server.folder / name) for name in ("ca.pem", "other-ca.pem"))
    full = {"sslmode": "verify-full", "sslrootcert": ca}
    return {
        "require": Case(OTHER_HOST, {"sslmode": "require"}),
        "the right CA and host": Case(HOST, full),
        "the right CA for any host": Case(OTHER_HOST, {**full, "sslmode": "verify-ca"}),
        "another CA": Case(HOST, {**full, "sslrootcert": other}, "certificate verify failed"),
        "another host": Case(OTHER_HOST, full, "does not match host name"),
        "no TLS": Case(HOST, {"sslmode": "disable"}, "no encryption"),
        "no options": Case(HOST, {}, "no encryption"),
    }


def address(server: TlsPostgreSQL, case: Case, database: str = "postgres") -> URL:
    """The address of a case, as an operator writes it."""
    return URL.create(
        "postgresql", "postgres", host=case.host, port=server.port, database=database,
        query=case.options,
    )  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_the_driver_encrypts_and_checks_whom_it_talks_to(server, cases, mode):
    """A wrong certificate ends the connection: its owner could read every payment."""
    urls = {
        name: address(server, case).render_as_string(hide_password=False)
        for name, case in cases.items()
    }
    run = subprocess.run(
        [sys.executable, "-m", "tests.db.tls_answers", mode, json.dumps(urls)],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
        env={name: text for name, text in os.environ.items() if not name.startswith("PG")},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    answers = json.loads(run.stdout)
    assert answers.pop("hub") == mode
    assert set(answers) == set(cases)
    for name, case in cases.items():
        if case.refusal is None:
            assert answers[name]["protocol"].startswith("TLSv1."), (name, answers)
            assert answers[name]["big"] == 5_000_000, (name, answers)
            assert answers[name]["error"] is None
        else:
            assert case.refusal in answers[name]["error"], (name, answers)


@pytest.fixture
def database(server: TlsPostgreSQL) -> Iterator[str]:
    """The name of an empty database on the server."""
    name = "balcao_tls"
    engine = sa.create_engine(server.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0"))
        yield name
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.mark.timeout(240)
def test_the_tools_use_the_address_of_the_service(server, cases, database, tmp_path):
    """Migration, backup and its check take one address; a wrong one is refused by a sentence."""
    good = address(server, cases["the right CA and host"], database)
    names = ("another CA", "another host", "no options")
    refused = {address(server, cases[name], database): str(cases[name].refusal) for name in names}
    check_commands(good, refused, tmp_path)
