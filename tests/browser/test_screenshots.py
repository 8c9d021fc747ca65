"""Screenshots are drawn with a phone's font, or not at all."""

from __future__ import annotations

import pytest

from scripts import screenshots
from tests.support.parts import MissingPart


@pytest.fixture
def matching(tmp_path, monkeypatch):
    """Let fontconfig choose this font."""
    monkeypatch.setenv("FONTCONFIG_FILE", "")  # restored after the test
    program = tmp_path / "fc-match"
    monkeypatch.setattr(screenshots, "find_program", lambda _name: str(program))

    def choose(font: str) -> None:
        program.write_text(f"#!/bin/sh\nprintf '{font}'\n", encoding="utf-8")
        program.chmod(0o755)

    return choose


def test_without_the_font_of_phones_the_command_says_how_to_install_it(tmp_path, matching):
    """The README would show pages as no shopper sees them."""
    matching("DejaVu Sans")
    with pytest.raises(MissingPart, match="apt install fonts-roboto-unhinted"):
        screenshots.use_phone_font(tmp_path)
    matching("Roboto")
    screenshots.use_phone_font(tmp_path)
    assert "Roboto" in (tmp_path / "fonts.conf").read_text("utf-8")
