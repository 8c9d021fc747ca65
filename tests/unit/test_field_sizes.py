"""Text in fields has at least 16 px: Safari on a phone zooms into the page otherwise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHEETS = [*sorted((ROOT / "static/css").glob("*.css")), ROOT / "bank/static/css/bank.css"]
FIELD = re.compile(r"(?:^|[\s>+~(])(?:input|textarea|select)\b|\.field__input(?!::)")
SIZE = re.compile(r"font(?:-size)?:\s*([^;]*)")
LARGE = re.compile(r"inherit$|max\(1rem,|var\(--text-(?:m|l|xl|2xl|3xl)\)|(?:1(?:\.\d+)?|[2-9])rem")


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_no_style_makes_a_field_small(sheet):
    """Of each rule whose selector ends at a field."""
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text("utf-8"), flags=re.DOTALL)
    small = [
        (selector.strip(), size)
        for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", text)
        for selector in selectors.split(",")
        if FIELD.search(f" {selector.split()[-1]}" if selector.split() else "")
        and "::" not in selector
        for size in SIZE.findall(body)
        if not LARGE.match(size)
    ]
    assert small == []


def test_fields_do_not_inherit_a_small_size():
    """A field in a small paragraph keeps its size."""
    base = (ROOT / "static/css/base.css").read_text("utf-8")
    assert re.search(r"input,\ntextarea,\nselect \{\n  font-size: max\(1rem, 1em\);", base)
