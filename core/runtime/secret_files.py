"""Secrets that a first start makes and every later one finds again, one in a file."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def kept(path: Path, fresh: str) -> str:
    """The secret in the file; the first of several processes to come writes it (mode 600).

    Folders that are missing are made. Raises OSError where the file can be neither read nor made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(fresh + "\n")
        try:
            os.link(temporary, path)  # fails where another process was first
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_text(encoding="utf-8").strip()
