"""Other forms that a body may have had before a proxy or a framework rewrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from typing import Any

from bank.languages import translate as _
from core.languages import N_

_ITEMS = {
    N_("compacto"): (",", ":"),
    N_("com espaços"): (", ", ": "),
    N_("com espaço só depois de :"): (",", ": "),
}
_MARKED = re.compile(r'"\\u0000([^"\\]*)\\u0000"')
_BOM = b"\xef\xbb\xbf"


def _mark_number(number: str) -> str:
    """Mark a number that must be written as it was read: 100.00 must not become 100.0."""
    return f"\0{number}\0"


def variants(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Other forms of the body, each with a description; the most likely forms come first."""
    seen_bodies = {body}
    for text, variant in _all_variants(body):
        if variant not in seen_bodies:
            seen_bodies.add(variant)
            yield text, variant


def _all_variants(body: bytes) -> Iterator[tuple[str, bytes]]:
    yield _("sem a quebra de linha no fim"), body.rstrip(b"\r\n")
    yield _("com uma quebra de linha no fim"), body + b"\n"
    yield _("com quebras de linha LF em vez de CRLF"), body.replace(b"\r\n", b"\n")
    yield _("com quebras de linha CRLF"), body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    yield _("com CRLF no fim"), body.rstrip(b"\r\n") + b"\r\n"
    yield _("sem espaços em volta"), body.strip()
    yield _("sem a marca BOM"), body.removeprefix(_BOM)
    yield _("vazio"), b""
    yield from _rewrite_json(body)


def _rewrite_json(body: bytes) -> Iterator[tuple[str, bytes]]:
    readings = []
    for numbers in (_mark_number, float, Decimal):
        try:
            readings.append((numbers, json.loads(body.removeprefix(_BOM), parse_float=numbers)))
        except (ValueError, RecursionError):
            return
    options = product(readings, _ITEMS.items(), (False, True), (False, True), ("", "\n"))
    for (numbers, value), (spacing, separators), is_sorted, is_ascii, end in options:
        words = [_("em JSON %(spacing)s") % {"spacing": _(spacing)}]
        words += [_("com as chaves em ordem")] if is_sorted else []
        words += [_("com \\u em vez de acentos")] if is_ascii else []
        words += [_("com números como texto")] if numbers is Decimal else []
        words += [_("com uma quebra de linha no fim")] if end else []
        text = _dump(value, separators, is_sorted, is_ascii, None)
        yield ", ".join(words), (text + end).encode("utf-8", "surrogatepass")
    for numbers, value in readings:
        for indent in (2, 4):
            for end in ("", "\n"):
                text = _dump(value, (",", ": "), False, False, indent)
                as_text = _("com números como texto") + ", " if numbers is Decimal else ""
                yield (
                    as_text + _("em JSON com recuo de %(num)s") % {"num": indent},
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
