"""Runs of pytest with the plugin of the Python package, as a developer of a shop has them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clients/python"
OWN_VARIABLES = ("BALCAO_URL", "BALCAO_API_KEY", "BALCAO_CHECKOUT", "BALCAO_PYTHON")
SECONDS_MAX = 100


def install(folder: Path) -> Path:
    """Write the entry points of the package, as `pip install` does; returns a path for imports."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text("utf-8"))["project"]
    info = folder / "balcao-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: balcao\nVersion: 0\n", "utf-8")
    lines = [f"{name} = {value}" for name, value in project["entry-points"]["pytest11"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]), "utf-8")
    return folder


def start_pytest(site: Path, folder: Path, *arguments: str, **variables: str) -> subprocess.Popen:
    """Start pytest in a folder, with the package installed at `site`."""
    environment = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    environment |= {"PYTHONPATH": os.pathsep.join([str(PACKAGE / "src"), str(site)]), **variables}
    # Plugins of the repository's own tests have no place in those of a shop.
    options = ["-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:anyio"]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_pytest(site: Path, folder: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run pytest in a folder; returns its exit status and what it printed."""
    with start_pytest(site, folder, *arguments, **variables) as process:
        try:
            output, _ = process.communicate(timeout=SECONDS_MAX)
        finally:
            process.kill()
    return process.returncode, output


def outcomes(output: str) -> dict[str, int]:
    """How many tests passed, failed, were skipped, by the last line of pytest."""
    last_line = output.strip().splitlines()[-1]
    return {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", last_line)}
