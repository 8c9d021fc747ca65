"""Fetch the vendored libraries again, or check the vendored files.

The README.md of each vendor folder has a table of its files with their SHA-256. `--check` compares
the files with the tables. Without it npm fetches the packages into a temporary folder, and a file
is written only if its SHA-256 matches the table.
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
class VendoredFile:
    """A row of a vendor table: a file, and where it was published."""

    path: Path
    package: str
    version: str
    member: str
    licence: str
    sha256: str

    @property
    def archive(self) -> str:
        """The npm name of the package with its version."""
        return f"{self.package}@{self.version}"


def table_rows(folder: Path) -> Iterator[VendoredFile]:
    """The rows of the table in `folder`/README.md."""
    for line in (folder / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 6:
            name, package, version, member, licence, sha256 = cells
            yield VendoredFile(folder / name, package, version, member, licence, sha256)


def all_rows() -> list[VendoredFile]:
    """The rows of every vendor table."""
    return [row for folder in VENDOR_FOLDERS for row in table_rows(folder)]


def find_problems(rows: Iterable[VendoredFile]) -> list[str]:
    """Compare the files with the tables; return one sentence per problem."""
    rows = list(rows)
    problems = []
    for row in rows:
        name = row.path.relative_to(ROOT)
        if not row.path.is_file():
            problems.append(f"{name} is in a vendor table but does not exist")
        elif hashlib.sha256(row.path.read_bytes()).hexdigest() != row.sha256:
            problems.append(f"{name} differs from the file that {row.archive} published")
    files = {
        path
        for folder in VENDOR_FOLDERS
        for path in folder.rglob("*")
        if path.is_file() and path.name != "README.md"
    }
    unlisted = sorted(files - {row.path for row in rows})
    problems += [f"{path.relative_to(ROOT)} is in no vendor table" for path in unlisted]
    return problems


def fetch(row: VendoredFile, into: Path, npm: str) -> bytes:
    """The bytes of a published file; each archive is fetched once.

    Raises subprocess.CalledProcessError if npm cannot fetch it, KeyError if the archive does
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
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes()), mode="r:gz") as tar:
        member = tar.extractfile(f"package/{row.member}")
        if member is None:
            raise KeyError(row.member)
        return member.read()


def refresh(rows: Iterable[VendoredFile], npm: str) -> list[str]:
    """Write each file anew; return one sentence per file whose SHA-256 differs."""
    problems = []
    with tempfile.TemporaryDirectory(prefix="balcao-vendor-") as temporary:
        for row in rows:
            content = fetch(row, Path(temporary), npm)
            sha256 = hashlib.sha256(content).hexdigest()
            if sha256 != row.sha256:
                problems.append(f"{row.path.relative_to(ROOT)}: {row.archive} has SHA-256 {sha256}")
                continue
            row.path.parent.mkdir(parents=True, exist_ok=True)
            row.path.write_bytes(content)
    return problems


def main(arguments: list[str] | None = None) -> int:
    """Run the command; exit status 0 if every file matches its table."""
    parser = argparse.ArgumentParser(prog="python -m scripts.vendor", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, fetch nothing")
    options = parser.parse_args(arguments)
    rows = all_rows()
    if not options.check:
        npm = shutil.which("npm")
        if npm is None:
            print("npm is missing. Install it first: apt install npm", file=sys.stderr)
            return 1
        mismatches = refresh(rows, npm)
        if mismatches:
            print("These files were not written:", *mismatches, sep="\n", file=sys.stderr)
            return 1
    problems = find_problems(rows)
    print(*(problems or [f"{len(rows)} vendored files match their tables."]), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
