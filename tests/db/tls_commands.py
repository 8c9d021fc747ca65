"""The commands of `flask` at a database with TLS, alike for each engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.engine import URL

from tests.support.service import ROOT, ServiceProcess


def check_commands(good: URL, refused: Mapping[URL, str], folder: Path) -> None:
    """Migrate, back up and check the backup at a good address, and be refused at the others.

    `refused` has what the one sentence says, by address.
    """
    migrated = _flask(good, folder, "db", "upgrade")
    assert migrated.returncode == 0, migrated.stderr
    backup = _flask(good, folder, "backup", "--to", str(folder / "backups"))
    assert backup.returncode == 0, backup.stderr
    manifest = backup.stdout.splitlines()[0]
    check = _flask(good, folder, "restore", "--check", manifest)
    assert check.returncode == 0, check.stdout + check.stderr
    for url, refusal in refused.items():
        ended = _flask(url, folder, "backup", "--to", str(folder / "none"))
        assert ended.returncode == 1, url
        assert refusal in ended.stderr, url
        assert "Traceback" not in ended.stderr
    assert not list((folder / "none").glob("*"))


def _flask(url: URL, instance: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `flask` at this address."""
    text = url.render_as_string(hide_password=False)
    service = ServiceProcess(instance, DATABASE_URL=text)
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", *args], cwd=ROOT,
        env=service.environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
