"""The files of deploy/ as an operator uses them: nginx with balcao.conf, and systemd's units.

Only what names the machine is replaced: folders, ports, the certificate and the account.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.clock import SystemClock
from tests.support.nginx import PrivateNginx
from tests.support.ports import free_port
from tests.support.service import ROOT

UNITS = ROOT / "deploy" / "systemd"
CONFIG = ROOT / "deploy" / "nginx" / "balcao.conf"
HOME = "/opt/balcao"
ENVIRONMENT_FILE = "/etc/balcao/balcao.env"
READY_SECONDS = 60.0


class DeployedNginx(PrivateNginx):
    """nginx with balcao.conf in front of two ports: TLS, and beside it the same without TLS."""

    def __init__(self, ports: tuple[int, int]) -> None:
        super().__init__(ports[0])
        self._ports = ports
        self.tls_port = free_port()
        self.certificate = self.folder / "fullchain.pem"

    def _prepare(self) -> None:
        self.data.mkdir(mode=0o700)
        key = write_certificate(self.certificate)
        text = CONFIG.read_text(encoding="utf-8")
        for shipped, port in zip(("5001", "5002"), self._ports, strict=True):
            assert text.count(f"127.0.0.1:{shipped} ") == 2
            text = text.replace(f"127.0.0.1:{shipped} ", f"127.0.0.1:{port} ")
        text, count = re.subn(r"    listen (\[::\]:)?80;\n", "", text)
        assert count == 2
        text = text.replace("server {\n", f"server {{\n    listen 127.0.0.1:{free_port()};\n", 1)
        text = text.replace("    listen [::]:443 ssl;\n", f"    listen 127.0.0.1:{self.port};\n")
        text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{self.tls_port} ssl;")
        letsencrypt = "/etc/letsencrypt/live/pay.example.com/"
        text = text.replace(f"{letsencrypt}fullchain.pem", str(self.certificate))
        text = text.replace(f"{letsencrypt}privkey.pem", str(key))
        (self.data / "balcao.conf").write_text(text, encoding="utf-8")
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "".join(f"    {kind}_temp_path {self.data / kind};\n" for kind in kinds)
        (self.data / "nginx.conf").write_text(
            f"pid {self.data / 'pid'};\nerror_log stderr warn;\nevents {{}}\n"
            f"http {{\n    access_log off;\n{folders}    include balcao.conf;\n}}\n",
            encoding="utf-8",
        )

    def _answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
            return int(answer.status) == 200
        return False


def write_certificate(path: Path) -> Path:
    """A certificate of 127.0.0.1 that signs itself; returns the file of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = SystemClock().now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file = path.with_name("privkey.pem")
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return key_file


class Unit:
    """A service of systemd, run as the unit's file says."""

    def __init__(self, name: str, instance: str, environment_file: Path, state: Path) -> None:
        """`name` is the file; `instance` is what stands for %i."""
        self._lines = read_unit(UNITS / name, instance)
        self._folder = state
        self._log = state / f"{name}-{instance}.log"
        state.mkdir(parents=True, exist_ok=True)
        self.environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        for line in self._lines["Environment"]:
            self.environment |= dict(part.split("=", 1) for part in shlex.split(line))
        assert self.environment.pop("INSTANCE_DIR") == "/var/lib/balcao"
        self.environment["INSTANCE_DIR"] = str(state)
        assert self._lines["EnvironmentFile"] == [ENVIRONMENT_FILE]
        for line in environment_file.read_text(encoding="utf-8").splitlines():
            name_of, _, value = line.partition("=")
            self.environment[name_of] = value
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start what ExecStart says."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command("ExecStart"), cwd=self._path(self._lines["WorkingDirectory"][0]),
                env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def wait_until_ready(self) -> None:
        """Wait until /readyz answers 200."""
        limit = time.monotonic() + READY_SECONDS
        url = f"http://127.0.0.1:{self.environment['PORT']}/readyz"
        while time.monotonic() < limit:
            with suppress(OSError), urllib.request.urlopen(url, timeout=5):
                return
            time.sleep(0.1)
        raise AssertionError(self.log())

    def reload(self) -> None:
        """Run what ExecReload says."""
        assert self.process is not None
        command = self._command("ExecReload")
        subprocess.run(
            [part.replace("$MAINPID", str(self.process.pid)) for part in command],
            check=True,
            timeout=10,
        )

    def kill(self) -> None:
        """End all processes of the service with SIGKILL."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def stop(self) -> int:
        """As `systemctl stop` with KillMode=mixed: SIGTERM to the main process alone."""
        assert self._lines["KillMode"] == ["mixed"]
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(float(self._lines["TimeoutStopSec"][0]))

    def log(self) -> str:
        """What the service has written."""
        return self._log.read_text(errors="replace")

    def _command(self, directive: str) -> list[str]:
        command = shlex.split(self._lines[directive][0])
        return [self._path(part) for part in command]

    def _path(self, part: str) -> str:
        programs = str(Path(sys.executable).parent)
        return part.replace(f"{HOME}/.venv/bin", programs).replace(HOME, str(ROOT))


def read_unit(path: Path, instance: str) -> dict[str, list[str]]:
    """The directives of a unit with their values, in order."""
    lines: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            directive, _, value = line.partition("=")
            lines.setdefault(directive, []).append(value.replace("%i", instance))
    return lines
