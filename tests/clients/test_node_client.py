"""The Node package: its unit tests, and the client and its receivers against the service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from balcao import Balcao
from tests.support.parts import MissingPart, leave_out
from tests.support.service import DEMO_PASSWORD, ServiceProcess

PACKAGE = Path(__file__).resolve().parents[2] / "clients/node"
NODE_MIN = 18
SECONDS_MAX = 90
SCOPES = ["payments:read", "payments:write", "refunds:write", "webhooks:write"]


@pytest.fixture(scope="module")
def node() -> str:
    """The program Node, new enough for the package."""
    program = shutil.which("node")
    if program is None:
        leave_out(MissingPart("node (Debian: nodejs)"))
    version = run([program, "--version"], PACKAGE).strip()
    if int(version.removeprefix("v").partition(".")[0]) < NODE_MIN:
        leave_out(MissingPart(f"node {NODE_MIN} or newer; this is {version}"))
    return program


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service for this file."""
    with ServiceProcess(tmp_path_factory.mktemp("node-service")) as running:
        yield running


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package in which the examples find `balcao` and `standardwebhooks`."""
    npm = shutil.which("npm")
    if npm is None:
        leave_out(MissingPart("npm (Debian: npm)"))
    copy = tmp_path_factory.mktemp("node") / "balcao"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("node_modules"))
    examples = copy / "examples"
    run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], examples)
    (examples / "node_modules/balcao").symlink_to(copy, target_is_directory=True)
    return copy


def run(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """The output of a command that must succeed."""
    result = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout[-6000:]}\n{result.stderr[-3000:]}"
    return result.stdout


def run_tests(
    node: str, folder: Path, pattern: str, environment: Mapping[str, str] | None = None
) -> None:
    """Run the test files; a folder without tests, or a skipped test, is a failure."""
    files = sorted(str(path) for path in folder.glob(pattern))
    assert files
    output = run([node, "--test", "--test-reporter=tap", *files], folder, environment)
    assert "\n# fail 0\n" in output
    assert "\n# skipped 0\n" in output
    assert "\n# pass 0\n" not in output


def api_key(service: ServiceProcess, login: str = "demo") -> str:
    """A new API key of this merchant."""
    transport = Balcao(service.url, "").transport
    form = {"username": login, "password": DEMO_PASSWORD}
    token = transport.request("POST", "/token", form=form).json()["access_token"]
    body = {"label": "node", "scopes": SCOPES}
    answer = Balcao(service.url, token).transport.request("POST", "/api/keys", body=body)
    return str(answer.json()["key"])


def test_the_package_keeps_its_promises_on_its_own(node: str):
    """Retries, errors, streams and signatures, against servers that misbehave."""
    run_tests(node, PACKAGE, "test/*.test.js")


def test_the_client_and_both_receivers_work_with_the_service(
    node: str, service: ServiceProcess, installation: Path
):
    """What the service sends is believed by this package and by the official one."""
    other = {"username": "alice-of-node", "password": DEMO_PASSWORD}
    Balcao(service.url, "").transport.request("POST", "/users/", body=other)
    environment = {
        "BALCAO_URL": service.url,
        "BALCAO_API_KEY": api_key(service),
        "BALCAO_KEY_OF_EMPTY_SHOP": api_key(service, other["username"]),
    }
    run_tests(node, installation, "test/service/*.test.js", environment)


def test_the_packed_files_are_all_that_the_package_needs():
    """`files` in package.json decides what is published."""
    manifest = json.loads((PACKAGE / "package.json").read_text(encoding="utf-8"))

    assert all((PACKAGE / name).exists() for name in manifest["files"])
    assert {"src", "index.d.ts"} <= set(manifest["files"])
    assert (PACKAGE / "LICENSE").read_text() == (PACKAGE.parents[1] / "LICENSE").read_text()
