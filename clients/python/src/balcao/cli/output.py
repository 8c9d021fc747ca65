"""What the command writes: plain aligned lines, colour on a terminal only, exit statuses."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

OK, FAILED, INTERRUPTED = 0, 1, 130
"""Exit statuses; argparse exits with 2 for wrong arguments."""

GREEN, RED, YELLOW, DIM, BOLD = "32", "31", "33", "2", "1"


class CommandFailed(Exception):
    """Ends the command with status 1 and this sentence."""


def say(text: str = "") -> None:
    """Write a line at once, also into a pipe: somebody may be waiting for it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def say_json(value: Any) -> None:
    """Write one value as a line of JSON."""
    say(json.dumps(value, ensure_ascii=False, default=_json_number))


def _json_number(value: object) -> Any:
    """A Decimal as a number: amounts have at most 15 digits, which a float prints exactly."""
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value)} is not JSON")


def paint(text: str, colour: str) -> str:
    """The text in a colour, if standard output is a terminal and NO_COLOR is not set."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def printable(value: object) -> str:
    """The text on one line without control characters, which could rewrite a terminal."""
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def brl(amount: Decimal | int | None) -> str:
    """An amount of reais with two decimals; empty for None."""
    return "" if amount is None else f"{amount:.2f}"


def clock_time(at: datetime | None = None) -> str:
    """The local time of day."""
    return (at or datetime.now().astimezone()).astimezone().strftime("%H:%M:%S")


def minute(at: datetime) -> str:
    """The local date and time."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M")


def say_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> None:
    """Write an aligned table; `right` are the columns of numbers."""
    widths = [max(len(row[n]) for row in [heads, *rows]) for n in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if n in right else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    say(paint(line(heads), DIM))
    for row in rows:
        say(line(row))
