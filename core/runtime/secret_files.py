"""Secrets in files: the first start writes the secret, later starts read it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from core.runtime.text_files import read_text


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
