"""Fetch the vendored libraries again, or check the ones that are here.

The tables in the README.md of each vendor folder say what belongs there and with which SHA-256:
they are the only list. `--check` reads and compares; without it the packages are fetched by npm
into a temporary folder and a file is written only when its SHA-256 is the one in the table.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR_FOLDERS = (ROOT / "static" / "vendor", ROOT / "tests" / "vendor")
NPM_TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Vendored:
    """One row of a vendor table: a file here, and where it was published."""

    path: Path
    package: str
    version: str
    member: str
    licence: str
    sha256: str

    @property
    def archive(self) -> str:
        """The npm name of the package, with its version."""
        return f"{self.package}@{self.version}"


def listed(folder: Path) -> Iterator[Vendored]:
    """The rows of the table in `folder`/README.md."""
    for line in (folder / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 6:
            name, package, version, member, licence, sha256 = cells
            yield Vendored(folder / name, package, version, member, licence, sha256)


def everything_listed() -> list[Vendored]:
    """The rows of every vendor table."""
    return [row for folder in VENDOR_FOLDERS for row in listed(folder)]


def faults(rows: Iterable[Vendored]) -> list[str]:
    """What is wrong with the files here, one sentence each; empty when all is as listed."""
    rows = list(rows)
    wrong = []
    for row in rows:
        name = row.path.relative_to(ROOT)
        if not row.path.is_file():
            wrong.append(f"{name} is listed and not here")
        elif hashlib.sha256(row.path.read_bytes()).hexdigest() != row.sha256:
            wrong.append(f"{name} is not the file that {row.archive} published")
    here = {
        path
        for folder in VENDOR_FOLDERS
        for path in folder.rglob("*")
        if path.is_file() and path.name != "README.md"
    }
    unlisted = sorted(here - {row.path for row in rows})
    wrong += [f"{path.relative_to(ROOT)} is in no vendor table" for path in unlisted]
    return wrong


def fetch(row: Vendored, into: Path, npm: str) -> bytes:
    """The bytes of one published file; the archive is fetched once per version.

    Raises subprocess.CalledProcessError when npm cannot fetch it, KeyError when the archive does
    not contain the file.
    """
    folder = into / row.archive.replace("/", "_")
    if not folder.is_dir():
        folder.mkdir()
        command = [npm, "pack", "--silent", "--pack-destination", str(folder), row.archive]
        subprocess.run(  # noqa: S603 - the arguments come from our own table
            command, check=True, capture_output=True, timeout=NPM_TIMEOUT_SECONDS
        )
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes()), mode="r:gz") as opened:
        member = opened.extractfile(f"package/{row.member}")
        if member is None:
            raise KeyError(row.member)
        return member.read()


def refresh(rows: Iterable[Vendored], npm: str) -> list[str]:
    """Write each listed file anew; returns a sentence for each whose SHA-256 differs."""
    wrong = []
    with tempfile.TemporaryDirectory(prefix="balcao-vendor-") as temporary:
        for row in rows:
            content = fetch(row, Path(temporary), npm)
            sha256 = hashlib.sha256(content).hexdigest()
            if sha256 != row.sha256:
                wrong.append(f"{row.path.relative_to(ROOT)}: {row.archive} has SHA-256 {sha256}")
                continue
            row.path.parent.mkdir(parents=True, exist_ok=True)
            row.path.write_bytes(content)
    return wrong


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when every file is as its table says."""
    parser = argparse.ArgumentParser(prog="python -m scripts.vendor", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, fetch nothing")
    options = parser.parse_args(arguments)
    rows = everything_listed()
    if not options.check:
        npm = shutil.which("npm")
        if npm is None:
            print("npm is needed to fetch the vendored libraries: apt install npm", file=sys.stderr)
            return 1
        refused = refresh(rows, npm)
        if refused:
            print("Refused, nothing of it was written:", *refused, sep="\n", file=sys.stderr)
            return 1
    wrong = faults(rows)
    print(*(wrong or [f"{len(rows)} vendored files are the published ones."]), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
