"""The version of Balcão, in one place, and the commit that this copy was built from."""

from __future__ import annotations

from pathlib import Path

VERSION = "0.1.0"
"""The newest version in CHANGELOG.md."""
REVISION_FILE = Path(__file__).resolve().parent.parent / "REVISION"
"""Written when the image is built; a checkout has no such file."""


def read_revision() -> str | None:
    """The git commit of the image, 40 hexadecimal digits; None in a checkout."""
    try:
        return REVISION_FILE.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None
