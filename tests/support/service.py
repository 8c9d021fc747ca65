"""The service for tests: in the test's own process with a test clock, or as a new process."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from accounts.demo import ensure_demo_merchant
from app import create_app
from config import Settings
from core.clock import Clock, SystemClock, rfc3339
from core.signing import signatures
from db_models.base import db
from server.schema import require_schema
from tests.support import forked_service
from tests.support.app_threads import end_threads
from tests.support.checked_client import CheckedClient
from tests.support.forked_service import ForkedProcess
from tests.support.ports import free_port
from tests.support.quick_passwords import share_checks
from tests.support.quick_rules import share_builders
from tests.support.quick_schema import share_migrations
from tests.support.quick_templates import share_templates

share_builders()
share_checks()
share_migrations()
share_templates()

ROOT = Path(__file__).resolve().parents[2]
# Computed, because production refuses every secret that stands in a file of the repository.
SECRET = "whsec_" + base64.b64encode(hashlib.sha256(b"the bank in tests").digest()).decode()
TEST_BANK_SECRET = "whsec_" + base64.b64encode(hashlib.sha256(b"the test bank").digest()).decode()
SECRET_KEY = hashlib.sha256(b"the service in tests").hexdigest()
PIX_KEY = "123e4567-e12b-12d1-a456-426655440000"
DEMO_PASSWORD = "one-for-all-tests"
"""The same password in all tests, so that it is hashed only once."""
UNBOUNDED = {
    f"{name}_PER_MINUTE": "1000000"
    for name in ("REQUESTS", "BANK_REQUESTS", "CREATIONS", "RENEWALS", "CHECKS", "QR_IMAGES")
}
"""Tests send in a minute what no client does; `test_request_bounds.py` tests the bounds."""
INHERITED = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")
READY_WITHIN_SECONDS = 60.0


def settings_for(database_url: str, instance: Path, **changes: Any) -> Settings:
    """Settings for a test; `changes` are environment variables in lower case."""
    environment = {
        "DATABASE_URL": database_url,
        "INSTANCE_DIR": str(instance),
        "BANK_WEBHOOK_SECRET": SECRET,
        "SECRET_KEY": SECRET_KEY,
        "DEMO_PIX_KEY": PIX_KEY,
        "DEMO_PASSWORD": DEMO_PASSWORD,
        "LOG_LEVEL": "error",
        **UNBOUNDED,
    }
    environment |= {name.upper(): str(value) for name, value in changes.items()}
    return Settings.from_env(environment)


def ready_app(settings: Settings, clock: Clock) -> Flask:
    """An app on a migrated database with its demo merchant."""
    app = create_app(settings, clock)
    app.test_client_class = CheckedClient
    require_schema(app, migrate=True)
    if settings.is_development:
        with app.app_context():
            ensure_demo_merchant(settings)
    return app


def close_app(app: Flask) -> None:
    """End what runs in the background and close the connections: the database can be dropped.

    Raises AssertionError if something of it goes on.
    """
    try:
        end_threads(app)
    finally:
        with app.app_context():
            db.session.remove()
            for engine in db.engines.values():
                engine.dispose()


@dataclass
class BankInTest:
    """A bank that sends signed notifications to the service."""

    client: FlaskClient
    clock: Clock
    secret: str = SECRET

    def headers(
        self, body: bytes, *, at: datetime | None = None, message_id: str | None = None
    ) -> dict[str, str]:
        """Content type and signature for this body."""
        signed = signatures.signed_headers(
            self.secret, message_id or f"msg_{secrets.token_hex(8)}", at or self.clock.now(), body
        )
        return {"Content-Type": "application/json", **signed}

    def tell(self, body: Any, **options: Any) -> TestResponse:
        """Post a body with a valid signature; anything but bytes is encoded as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = self.headers(data, **options)
        return self.client.post("/payments/pix/confirmation", data=data, headers=headers)

    def confirm(self, payment: Mapping[str, Any], **changes: Any) -> TestResponse:
        """Send a notification that this payment was paid; `changes` replace fields of the body."""
        return self.tell(self.body(payment, **changes))

    def body(self, payment: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        """The body of a notification: the right amount, paid now, with a new end_to_end_id."""
        body: dict[str, Any] = {
            "bank_payment_id": payment["id"],
            "value": payment["value"],
            "end_to_end_id": end_to_end_id(),
            "paid_at": rfc3339(self.clock.now()),
            "payer": {"name": "Bob de Souza", "document": "12345678909"},
        }
        return {**body, **changes}


def end_to_end_id() -> str:
    """A new end_to_end_id in the standard's form."""
    return f"E99999004202611201500{secrets.token_hex(6)[:11]}"


def resident_bytes(pid: int) -> int:
    """The resident memory of a process in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the process is gone")


class ServiceProcess:
    """The service as a process on a free port."""

    is_forked = True
    """Whether it starts by `forked_service`, or else by `python app.py`."""

    def __init__(
        self,
        instance: Path,
        *,
        is_first_start: bool = False,
        open_files_max: int | None = None,
        code: Path = ROOT,
        **environment: Any,
    ) -> None:
        """Settings by environment name; DATABASE_URL defaults to SQLite in the folder.

        The database is migrated and has the demo accounts before the start. With `is_first_start`
        the service creates them itself, with a generated password. `open_files_max` is the hard
        limit of open files. `code` is the folder of another version of the service. ASYNC_MODE may
        be `gunicorn`, which serves in gevent's mode.
        """
        self.port = int(environment.pop("PORT", free_port()))
        self.url = f"http://127.0.0.1:{self.port}"
        self.instance = instance
        self._log = instance / f"service-{self.port}.log"
        instance.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "PORT": str(self.port),
            "INSTANCE_DIR": str(instance),
            "BANK_WEBHOOK_SECRET": SECRET,
            "SECRET_KEY": SECRET_KEY,
            "DEMO_PIX_KEY": PIX_KEY,
            **({} if is_first_start else {"DEMO_PASSWORD": DEMO_PASSWORD}),
            "SWEEP_START_GRACE_SECONDS": "0",
            **UNBOUNDED,
            **{name: str(value) for name, value in environment.items()},
        }
        self.process: subprocess.Popen[bytes] | ForkedProcess | None = None
        self._is_first_start = is_first_start
        self._code = code
        self._command = [sys.executable, "app.py"]
        self._is_group = self.environment.get("ASYNC_MODE") == "gunicorn"
        if self._is_group:
            del self.environment["ASYNC_MODE"]
            self._command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py"]
        if open_files_max is not None:
            limited = f'ulimit -n {open_files_max}; exec "$0" "$@"'
            self._command = ["sh", "-c", limited, *self._command]

    def __enter__(self) -> ServiceProcess:
        """Start the service and wait until it answers."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the service."""
        self.kill()

    def start(self, wait: bool = True) -> None:
        """Start; by default wait until /readyz answers 200."""
        if not self._is_first_start and self.environment.get("APP_ENV") != "production":
            self._put_databases()
        # A limit of open files needs a shell, and some names are read by imports.
        is_forked = self.is_forked and self._command[0] != "sh" and not self._is_group
        is_forked = is_forked and self._code == ROOT
        if is_forked and forked_service.suits(self.environment):
            self.process = forked_service.start(self.environment, self._log)
        else:
            with self._log.open("ab") as log:
                self.process = subprocess.Popen(
                    self._command,
                    cwd=self._code,
                    env=self.environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=self._is_group,
                )
        if wait:
            self.wait_until_ready()

    def _put_databases(self) -> None:
        """Copy a migrated SQLite file to each database path that has none."""
        from tests.support.templates import copy_sqlite  # a cyclic import otherwise

        for name, usual, demo_accounts in (
            ("DATABASE_URL", "balcao.sqlite3", True),
            ("BANK_DATABASE_URL", "bank.sqlite3", False),
        ):
            text = self.environment.get(name, f"sqlite:///{self.instance / usual}")
            if not text.startswith("sqlite"):  # it may be a list of hosts, which is no URL yet
                continue
            file = Path(sa.make_url(text).database or ".")
            if not file.exists():
                copy_sqlite(file, demo_accounts=demo_accounts)

    def wait_until_ready(self, path: str = "/readyz") -> None:
        """Wait until the path answers 200. Raises AssertionError with the end of the log."""
        limit = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < limit:
            if self.process is not None and self.process.poll() is not None:
                break
            with suppress(OSError):
                if self.get(path)[0] == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"the service is not ready:\n{self.log()[-3000:]}")

    def log(self) -> str:
        """The log so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def stop(self, timeout: float = 20) -> int:
        """Send SIGTERM; return the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self) -> None:
        """Send SIGKILL, as in a crash."""
        if self.process is not None and self.process.poll() is None:
            if self._is_group:  # gunicorn's workers would outlive it by a moment
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait(10)

    @property
    def worker_pids(self) -> list[int]:
        """The processes that serve: the workers of gunicorn, or the one process."""
        assert self.process is not None
        if not self._is_group:
            return [self.process.pid]
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text(encoding="ascii").split()]

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 15,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Send a request; error statuses are answers as well. Raises OSError without an answer."""
        request = urllib.request.Request(
            self.url + path, data=body, method=method, headers=dict(headers or {})
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)

    def get(self, path: str, accept: str = "application/json") -> tuple[int, bytes]:
        """Send a GET; return status and body."""
        status, body, _ = self.request("GET", path, headers={"Accept": accept})
        return status, body

    def create(self, **fields: Any) -> dict[str, Any]:
        """Create a payment of the demo merchant."""
        data = json.dumps({"value": 10, **fields}).encode()
        status, body, _ = self.request(
            "POST", "/payments/pix", data, {"Content-Type": "application/json"}
        )
        assert status == 201, body
        payment: dict[str, Any] = json.loads(body)["payment"]
        return payment

    def payment(self, txid: str) -> dict[str, Any]:
        """Read the payment."""
        status, body = self.get(f"/payments/pix/{txid}")
        assert status == 200, body
        payment: dict[str, Any] = json.loads(body)["payment"]
        return payment

    def tell(
        self, payment: Mapping[str, Any], message_id: str | None = None, **changes: Any
    ) -> tuple[int, dict[str, Any]]:
        """Send a signed notification that this payment was paid; return status and JSON."""
        return self.notify(
            {
                "bank_payment_id": payment["id"],
                "value": payment["value"],
                "end_to_end_id": end_to_end_id(),
                "paid_at": rfc3339(SystemClock().now()),
                **changes,
            },
            message_id,
        )

    def notify(
        self, notice: Mapping[str, Any], message_id: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send this notification, signed; return status and JSON.

        Raises OSError or HTTPException without an answer. The socket is closed in any case: urllib
        leaves it open when a service is killed while the request is sent.
        """
        data = json.dumps(notice).encode()
        headers = signatures.signed_headers(
            SECRET, message_id or f"msg_{secrets.token_hex(8)}", SystemClock().now(), data
        )
        address = urlsplit(self.url).netloc
        with closing(http.client.HTTPConnection(address, timeout=15)) as connection:
            connection.request(
                "POST",
                "/payments/pix/confirmation",
                data,
                {"Content-Type": "application/json", **headers},
            )
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
