"""Find a checkout of Balcão and its Python."""

from __future__ import annotations

import os
from pathlib import Path

from balcao.testing.errors import SandboxError

MARKS = ("app.py", "config.py", "bank/app.py", "core/clock.py")
"""Files by which a checkout is recognised."""

HOW_TO_NAME = (
    "name one with --balcao-checkout=PATH, BALCAO_CHECKOUT, or balcao_checkout in pytest's "
    "configuration; or name a running development service with BALCAO_URL"
)


def find_checkout(path: str | None) -> Path:
    """The checkout at this path, by default the one that contains this package.

    Raises SandboxError.
    """
    if path is not None:
        folder = Path(path).expanduser().resolve()
        missing = [mark for mark in MARKS if not (folder / mark).is_file()]
        if missing:
            raise SandboxError(
                f"{folder} is no checkout of Balcão: it has no {missing[0]}. Clone Balcão and run "
                f"`make install` in it, then {HOW_TO_NAME}."
            )
        return folder
    for folder in Path(__file__).resolve().parents:
        if all((folder / mark).is_file() for mark in MARKS):
            return folder
    raise SandboxError(
        f"No checkout of Balcão is known. Clone Balcão and run `make install` in it, then "
        f"{HOW_TO_NAME}."
    )


def python_of(checkout: Path) -> str:
    """BALCAO_PYTHON, else the Python of the checkout's `.venv`. Raises SandboxError."""
    program = os.environ.get("BALCAO_PYTHON")
    if program:
        return program
    python = checkout / ".venv" / "bin" / "python"
    if not python.exists():
        raise SandboxError(
            f"{checkout} has no .venv: run `make install` in it, or name a Python that has its "
            "packages with BALCAO_PYTHON."
        )
    return str(python)
