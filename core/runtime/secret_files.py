"""Files that only their owner may read: secrets, which the first start writes, and SQLite."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.runtime.text_files import read_text


def make_private(path: Path) -> None:
    """Create the file with mode 600, or give that mode to a file that others may read.

    A no-op if that is impossible: the program that opens the file then reports the reason.
    """
    with suppress(OSError):
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)


def make_sqlite_private(
    _dialect: object, _record: object, arguments: Sequence[Any], _options: object
) -> None:
    """Make the file private before SQLite opens it; a listener of `do_connect`.

    SQLite gives the mode of the file to its journals too.
    """
    path = str(arguments[0]) if arguments else ""
    if path and path != ":memory:" and not path.startswith("file:"):
        make_private(Path(path))


def read_or_create(path: Path, fresh: str) -> str:
    """The secret in the file; the first of several processes writes `fresh` into it (mode 600).

    Missing folders are created. Raises OSError if the file can be neither read nor created, and
    UnreadableFile if it is not UTF-8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(fresh + "\n")
        try:
            os.link(temporary, path)  # fails if another process was first
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return read_text(path).strip()
