"""Build the Python package of clients/python, and test the wheel under each installed Python.

For every Python from 3.10 to 3.13 that is found: a fresh environment, the built wheel, the
package's tests, and the command. Needs the package index for setuptools, build and pytest.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "clients" / "python"
VERSIONS = ("3.10", "3.11", "3.12", "3.13")


def main() -> int:
    """Exit status 1 if anything fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="where to put wheel and sdist")
    out: Path | None = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        dist = out or Path(folder) / "dist"
        build(Path(folder) / "builder", dist)
        wheel = next(dist.glob("*.whl"))
        print("Built:", ", ".join(sorted(path.name for path in dist.iterdir())), flush=True)
        pythons = installed_pythons()
        for version, python in pythons.items():
            print(f"--- Python {version}", flush=True)
            test_wheel(python, Path(folder) / version, wheel)
    missing_versions = [version for version in VERSIONS if version not in pythons]
    if missing_versions:
        print("Not installed here:", ", ".join(missing_versions))
    return 0


def build(environment: Path, dist: Path) -> None:
    """Write wheel and sdist; the sources are copied, so that the tree stays clean."""
    copy = environment.with_name("sources")
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    python = new_environment(sys.executable, environment, "build")
    run(python, "-m", "build", "--outdir", str(dist), str(copy))


def installed_pythons() -> dict[str, str]:
    """The path of each Python of VERSIONS that starts, by version."""
    pythons: dict[str, str] = {}
    for version in VERSIONS:
        names = [f"python{version}"]
        if version == f"{sys.version_info.major}.{sys.version_info.minor}":
            names = [sys.executable]
        pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        for program in [*names, *map(str, pyenv)]:
            answer = "import sys; print('%d.%d' % sys.version_info[:2])"
            try:
                result = subprocess.run(  # noqa: S603 - a Python of this machine
                    [program, "-c", answer], capture_output=True, text=True, timeout=30, check=False
                )
            except OSError:
                continue
            if result.stdout.strip() == version:
                pythons[version] = program
                break
    return pythons


def test_wheel(python: str, environment: Path, wheel: Path) -> None:
    """Install the wheel into a fresh environment and run its tests and its command there."""
    program = new_environment(python, environment, "pytest", str(wheel))
    tests = environment / "tests"
    shutil.copytree(PACKAGE / "tests", tests)
    # Outside of the source tree, so that the installed wheel is what is tested.
    run(program, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode",
        "importlib", str(tests))  # fmt: skip
    run(str(environment / "bin" / "balcao"), "--version")


def new_environment(python: str, folder: Path, *packages: str) -> str:
    """The Python of a new environment with these packages."""
    run(python, "-m", "venv", str(folder))
    program = str(folder / "bin" / "python")
    run(program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
    return program


def run(*command: str) -> None:
    """Run a command. Raises SystemExit with its status if it fails."""
    status = subprocess.run(command, check=False).returncode  # noqa: S603 - our own arguments
    if status:
        raise SystemExit(status)


if __name__ == "__main__":
    raise SystemExit(main())
