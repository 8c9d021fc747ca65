"""The manifest beside each backup: what it is, and what it must add up to."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from config import ConfigurationError
from repository.backups import TableSums

CHUNK = 1 << 20


class BackupError(ConfigurationError):
    """A backup cannot be written, read or restored; the text is one sentence."""


@dataclass(frozen=True)
class Manifest:
    """Written last: a backup without its manifest is not complete."""

    file: str
    """The name of the backup, in the same folder."""
    engine: str
    """`sqlite`, `mysql` (MariaDB too) or `postgresql`."""
    created_at: str
    version: str
    revision: str | None
    schema: str
    bytes: int
    sha256: str
    tables: TableSums


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Store the manifest under the backup's name with `.json`; return its path."""
    path = folder / f"{manifest.file}.json"
    with new_private_file(path) as temporary:
        text = json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8")
    return path


def read_manifest(path: Path) -> tuple[Manifest, Path]:
    """The manifest and its backup; `path` names either. Raises BackupError."""
    json_path = path if path.suffix == ".json" else path.with_name(f"{path.name}.json")
    try:
        manifest = Manifest(**json.loads(json_path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BackupError(
            f"The manifest {json_path} cannot be read: {error.strerror}. A backup without its "
            "manifest is not complete."
        ) from None
    except (ValueError, TypeError):
        raise BackupError(f"{json_path} is not a manifest of a backup.") from None
    return manifest, json_path.with_name(Path(manifest.file).name)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def new_private_file(path: Path) -> Iterator[Path]:
    """An empty file of mode 600 under another name, which gets its own at the end of the block.

    After an error the file is deleted. Raises BackupError for a folder that cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise BackupError(f"{path.parent} cannot be written: {error.strerror}.") from None
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
