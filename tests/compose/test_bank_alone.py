"""The bank as a process (`python -m bank`), and a service that does not serve the bank."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bank.settings import BankSettingsError, settings_from
from config import Settings
from core.signing import signatures
from tests.support.ports import free_port
from tests.support.service import ROOT, SECRET_KEY, ServiceProcess


@contextmanager
def bank_process(folder: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m bank` as a process, in development, with its files in the folder."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", "bank"],
        cwd=ROOT,
        env={**inherited, "INSTANCE_DIR": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


def status_of(url: str) -> int:
    """The status of a GET; 0 if no server listens."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def wait_for(url: str) -> None:
    """Wait until the URL answers 200."""
    limit = time.monotonic() + 30
    while status_of(url) != 200:
        assert time.monotonic() < limit, f"{url} does not answer"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_separate_bank_pays_and_the_service_serves_no_bank(tmp_path: Path):
    """The two processes share only a folder of secrets and talk over HTTP."""
    service_port, bank_port = free_port(), free_port()
    bank_url = f"http://127.0.0.1:{bank_port}"
    service = ServiceProcess(tmp_path / "instance", PORT=service_port, BANK_URL=bank_url)
    del service.environment["BANK_WEBHOOK_SECRET"]

    with (
        service,
        bank_process(
            tmp_path / "instance", PUBLIC_URL=service.url, BANK_PORT=str(bank_port)
        ) as bank,
    ):
        wait_for(f"{bank_url}/healthz")
        payment = service.create()
        order = json.dumps({"code": payment["pix_code"], "pin": "1234"}).encode()
        request = urllib.request.Request(
            f"{bank_url}/bank/api/pay", order, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            paid = json.load(answer)
        mounted = status_of(f"{service.url}/bank/healthz")
        audit = subprocess.run(
            [sys.executable, "-m", "bank", "audit"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "INSTANCE_DIR": str(tmp_path / "instance")},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        bank.send_signal(signal.SIGTERM)
        ended = bank.wait(20)
        state = service.payment(payment["id"])["status"]

    assert (paid["status"], state) == ("confirmed", "confirmed")
    assert mounted == 404
    assert audit.returncode == 0, audit.stderr
    assert "Tudo confere." in audit.stdout
    assert ended == 0


def test_a_bank_that_cannot_listen_says_so_in_one_sentence(tmp_path: Path):
    """A second start prints the reason, not a traceback."""
    with bank_process(tmp_path, BANK_HOST="192.0.2.1", BANK_PORT="5001") as bank:
        output, _ = bank.communicate(timeout=30)

    assert bank.returncode == 1
    assert output.startswith("The bank cannot start: Cannot listen on 192.0.2.1, port 5001")
    assert len(output.splitlines()) == 1


def test_in_development_bank_and_service_agree_without_any_setting(tmp_path: Path):
    """`make run` and `make bank` side by side sign with the same secret, in either order."""
    environment = {"INSTANCE_DIR": str(tmp_path)}

    bank, service = settings_from(environment), Settings.from_env(environment)

    assert bank.webhook_secret == service.bank_webhook_secret
    assert bank.secret_key != service.secret_key
    assert bank.database_url == service.bank_database_url
    assert settings_from(environment).secret_key == bank.secret_key


def test_a_bank_alone_follows_the_port_of_the_service(tmp_path: Path):
    """Its codes name the service's port; with another one the bank would pay none of them."""
    bank = settings_from({"INSTANCE_DIR": str(tmp_path), "PORT": "5077"})

    assert bank.service_url == "http://127.0.0.1:5077"
    assert dict(bank.participant_hosts) == {"127.0.0.1:5077": "http://127.0.0.1:5077"}


def test_the_banks_tables_are_in_the_services_database(tmp_path: Path):
    """One server to run and to back up."""
    url = "mysql+pymysql://alice:pw@db.example/balcao"

    bank = settings_from({"INSTANCE_DIR": str(tmp_path), "DATABASE_URL": url})

    assert bank.database_url == url


def test_in_production_no_secret_is_generated(tmp_path: Path):
    """If one side generates a secret, every confirmation is refused."""
    with pytest.raises(BankSettingsError, match="BANK_DATABASE_URL"):
        settings_from({"APP_ENV": "production", "INSTANCE_DIR": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []


def test_codes_name_the_public_address_and_are_fetched_at_the_inner_one(tmp_path: Path):
    """Between containers the public address of the codes does not work."""
    bank = settings_from(
        {
            "INSTANCE_DIR": str(tmp_path),
            "PUBLIC_URL": "https://pay.example.com",
            "BANK_SERVICE_URL": "http://nginx:8080",
        }
    )

    assert bank.service_url == "http://nginx:8080"
    assert dict(bank.participant_hosts) == {"pay.example.com": "http://nginx:8080"}


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "5001 "])
def test_a_wrong_port_is_refused_by_name(tmp_path: Path, port: str):
    """The sentence names the setting."""
    with pytest.raises(BankSettingsError, match="BANK_PORT"):
        settings_from({"INSTANCE_DIR": str(tmp_path), "BANK_PORT": port})


SECRETS = {"SECRET_KEY": SECRET_KEY, "BANK_WEBHOOK_SECRET": signatures.new_secret()}


@pytest.mark.parametrize(
    ("environment", "served"),
    [
        ({}, True),
        ({"PORT": "5077"}, True),
        ({"BANK_URL": "http://127.0.0.1:5001"}, False),
        ({"BANK_INTERNAL_URL": "http://bank:5001"}, False),
        ({"APP_ENV": "production", **SECRETS}, False),
    ],
)
def test_the_service_serves_the_bank_only_without_another_bank(
    tmp_path: Path, environment: dict[str, str], served: bool
):
    """Two banks with two ledgers would each know half of what was paid."""
    settings = Settings.from_env({"INSTANCE_DIR": str(tmp_path), **environment})

    assert settings.serves_bank is served
