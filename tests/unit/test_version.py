"""The version is in one place, and everything else agrees with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core import version

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_is_the_newest_of_the_changelog():
    """Image, API document and admin pages show the version that people read about."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert re.findall(r"^## \[([^\]]+)\]", text, flags=re.M)[0] == version.VERSION


@pytest.mark.parametrize(
    ("content", "revision"),
    [(b"0123abcd\n", "0123abcd"), (b"", None), (b"\n", None), (b"\xff\xfe", None), (None, None)],
)
def test_a_revision_is_read_from_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, revision: str | None
):
    """A checkout has no such file, and a damaged one must not stop a start."""
    path = tmp_path / "REVISION"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(version, "REVISION_FILE", path)

    assert version.read_revision() == revision
