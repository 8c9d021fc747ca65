"""Other forms that a body may have had before a proxy or a framework rewrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import product
from typing import Any

_ITEMS = {
    "compact": (",", ":"),
    "with spaces": (", ", ": "),
    "with a space after : only": (",", ": "),
}
_MARKED = re.compile(r'"\\u0000([^"\\]*)\\u0000"')
_BOM = b"\xef\xbb\xbf"


def variants(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Other forms of the body, each with a description; the most likely forms come first."""
    earlier_bodies = {body}
    for text, variant in _all_variants(body):
        if variant not in earlier_bodies:
            earlier_bodies.add(variant)
            yield text, variant


def _all_variants(body: bytes) -> Iterator[tuple[str, bytes]]:
    yield "without the line break at the end", body.rstrip(b"\r\n")
    yield "with a line break at the end", body + b"\n"
    yield "with LF instead of CRLF", body.replace(b"\r\n", b"\n")
    yield "with CRLF instead of LF", body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    yield "with CRLF at the end", body.rstrip(b"\r\n") + b"\r\n"
    yield "without spaces around it", body.strip()
    yield "without the BOM", body.removeprefix(_BOM)
    yield "when it was empty", b""
    yield from _rewrite_json(body)


def _mark_number(number: str) -> str:
    """Mark a number that must be written as it was read: 100.00 must not become 100.0."""
    return f"\0{number}\0"


def _rewrite_json(body: bytes) -> Iterator[tuple[str, bytes]]:
    readings: list[tuple[Callable[[str], Any], Any]] = []
    reading_ways: tuple[Callable[[str], Any], ...] = (_mark_number, float, Decimal)
    for numbers in reading_ways:
        try:
            readings.append((numbers, json.loads(body.removeprefix(_BOM), parse_float=numbers)))
        except (ValueError, RecursionError):
            return
    options = product(readings, _ITEMS.items(), (False, True), (False, True), ("", "\n"))
    for (numbers, value), (spacing, separators), is_sorted, is_ascii, end in options:
        words = [f"as {spacing} JSON" if spacing == "compact" else f"as JSON {spacing}"]
        words += ["with sorted keys"] if is_sorted else []
        words += ["with \\u instead of accents"] if is_ascii else []
        words += ["with numbers as text"] if numbers is Decimal else []
        words += ["with a line break at the end"] if end else []
        text = _dump(value, separators, is_sorted, is_ascii, None)
        yield ", ".join(words), (text + end).encode("utf-8", "surrogatepass")
    for numbers, value in readings:
        for indent in (2, 4):
            for end in ("", "\n"):
                text = _dump(value, (",", ": "), False, False, indent)
                as_text = " and numbers as text" if numbers is Decimal else ""
                yield (
                    f"as JSON with an indent of {indent}{as_text}",
                    (text + end).encode("utf-8", "surrogatepass"),
                )


def _dump(
    value: Any, separators: tuple[str, str], is_sorted: bool, is_ascii: bool, indent: int | None
) -> str:
    text = json.dumps(
        value,
        separators=separators,
        sort_keys=is_sorted,
        ensure_ascii=is_ascii,
        indent=indent,
        default=str,
    )
    return _MARKED.sub(r"\1", text)
