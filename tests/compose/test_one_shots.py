"""The scripts that prepare the containers: secrets, certificate, health check."""

from __future__ import annotations

import importlib.util
import os
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from cryptography import x509

from bank.settings import BankSettings
from config import Settings
from tests.support.ports import free_port

DOCKER = Path(__file__).resolve().parents[2] / "docker"


def script(name: str) -> ModuleType:
    """Import a new copy of a script."""
    spec = importlib.util.spec_from_file_location(name, DOCKER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_secrets(root: Path) -> dict[str, str]:
    """Run the secrets one-shot in this folder; return the content of every file."""
    maker = script("make_secrets")
    own_group = os.getgid()
    maker.__dict__.update(ROOT=root, MYSQL_GROUP=own_group, REDIS_GROUP=own_group)
    for folder in ("service", "bank", "mysql", "redis"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    maker.main()
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8").strip()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_two_installations_share_no_secret(tmp_path: Path):
    """A default password is a password everybody knows."""
    one, other = make_secrets(tmp_path / "one"), make_secrets(tmp_path / "other")

    assert set(one) == set(other)
    assert set(one.values()) & set(other.values()) == set()


def test_a_later_start_changes_nothing(tmp_path: Path):
    """A new password would lock the service out of its own database."""
    assert make_secrets(tmp_path) == make_secrets(tmp_path)


def test_a_folder_as_argument_gets_the_secrets_for_its_owner_alone(tmp_path: Path):
    """The Secrets of a cluster are made of files on somebody's machine."""
    root = tmp_path / "secrets"
    command = [sys.executable, "-I", str(DOCKER / "make_secrets.py"), str(root)]

    assert subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    assert {path.stat().st_mode & 0o777 for path in root.rglob("*") if path.is_file()} == {0o600}
    assert set(make_secrets(tmp_path / "other")) == {
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()
    }


def test_a_missing_secret_is_restored_from_its_copies(tmp_path: Path):
    """After a restore of one volume the bank still signs with what the service verifies."""
    before = make_secrets(tmp_path)
    (tmp_path / "bank" / "bank_webhook_secret").unlink()

    assert make_secrets(tmp_path) == before


def test_secrets_are_read_by_their_owner_and_by_the_one_group_that_must(tmp_path: Path):
    """Only the service reads its secrets; MySQL and Redis read theirs by their group."""
    make_secrets(tmp_path)

    modes = {
        folder: {path.stat().st_mode & 0o777 for path in (tmp_path / folder).iterdir()}
        for folder in ("service", "bank", "mysql", "redis")
    }
    assert modes == {"service": {0o600}, "bank": {0o600}, "mysql": {0o640}, "redis": {0o640}}


def test_service_and_bank_start_with_the_secrets_as_they_are_made(tmp_path: Path):
    """The settings read every file, and the two sides sign with the same secret."""
    secrets = make_secrets(tmp_path)
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    names = ("SECRET_KEY", "BANK_WEBHOOK_SECRET", "DATABASE_URL", "REDIS_URL")
    environment = {f"{name}_FILE": str(tmp_path / "service" / name.lower()) for name in names}
    settings = Settings.from_env({**environment, "INSTANCE_DIR": str(tmp_path / "service")})
    of_bank = ("BANK_WEBHOOK_SECRET", "BANK_SECRET_KEY", "BANK_DATABASE_URL")
    bank = BankSettings.from_env(
        {f"{name}_FILE": str(tmp_path / "bank" / name.lower()) for name in of_bank}
    )

    # The service sees the files read-only, so it must find everything that it would generate.
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == files
    assert settings.bank_webhook_secret == bank.webhook_secret
    assert settings.demo_pix_key == secrets["service/demo_pix_key"]
    assert secrets["mysql/service_password"] in settings.database_url
    assert secrets["mysql/bank_password"] in bank.database_url
    assert secrets["redis/redis.conf"] == f"requirepass {secrets['redis/password']}"
    assert settings.redis_url == f"redis://:{secrets['redis/password']}@redis:6379/0"


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The certificate one-shot in a folder of the test."""
    maker = script("make_certificate")
    maker.__dict__.update(
        FOLDER=tmp_path,
        CHAIN=tmp_path / "fullchain.pem",
        KEY=tmp_path / "privkey.pem",
        NGINX_GROUP=os.getgid(),
    )
    monkeypatch.setenv("PUBLIC_URL", "https://pay.example.com")
    return maker


def test_without_a_certificate_a_self_signed_one_is_made_and_announced(
    certificate: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A trial needs no certificate; nobody may mistake it for a real one."""
    assert certificate.main() == 0

    assert "self-signed one for pay.example.com" in capsys.readouterr().out
    own_certificate = x509.load_pem_x509_certificate((tmp_path / "fullchain.pem").read_bytes())
    names = own_certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["pay.example.com"]
    assert (tmp_path / "privkey.pem").stat().st_mode & 0o777 == 0o640
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "fullchain.pem", tmp_path / "privkey.pem")


def test_the_operators_certificate_is_used_and_kept(certificate: ModuleType, tmp_path: Path):
    """An operator's certificate is never overwritten."""
    for name in ("fullchain.pem", "privkey.pem"):
        (tmp_path / name).write_text("the operator's", encoding="utf-8")

    assert certificate.main() == 0
    assert {path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {"the operator's"}


def test_half_a_certificate_stops_the_start(
    certificate: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """nginx would log its own error once a second."""
    (tmp_path / "fullchain.pem").write_text("the operator's", encoding="utf-8")

    assert certificate.main() == 1
    assert "needs both files" in capsys.readouterr().err


@pytest.mark.parametrize(("answer_status", "status"), [(200, 0), (503, 1), (404, 1)])
def test_a_container_is_healthy_when_its_path_answers_200(answer_status: int, status: int):
    """503 of /readyz means that the container cannot serve now."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer_status if self.path == "/readyz" else 418)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write no access log."""

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        exit_status = health(server.server_port)
        server.shutdown()

    assert exit_status == status


def test_a_container_that_does_not_listen_is_not_healthy():
    """The check fails instead of waiting."""
    assert health(free_port()) != 0


def health(port: int) -> int:
    """The exit status of the health check."""
    command = [sys.executable, "-I", "-S", str(DOCKER / "healthcheck.py"), str(port), "/readyz"]
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode


@pytest.mark.parametrize("name", ["nginx/start.sh", "mysql/10-bank.sh"])
def test_the_shell_scripts_can_be_read_and_run(name: str):
    """Otherwise the first container to start finds a syntax error."""
    path = DOCKER / name

    assert subprocess.run(["sh", "-n", str(path)], check=False).returncode == 0
    assert os.access(path, os.X_OK)


def test_the_cluster_creates_the_bank_as_compose_does():
    """kustomize reads no file above its folder, so there are two copies of one script."""
    copy = DOCKER.parent / "deploy" / "kubernetes" / "overlays" / "development" / "10-bank.sh"
    original = DOCKER / "mysql" / "10-bank.sh"
    assert copy.read_bytes() == original.read_bytes()
    assert copy.stat().st_mode == original.stat().st_mode
