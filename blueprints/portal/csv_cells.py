"""The cells of the portal's CSV files: quoted, without live formulas, with dates Excel reads.

RFC 4180: commas, CRLF, quotes doubled. The variant for Brazilian spreadsheets has a byte order
mark, semicolons and decimal commas.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from core.money import plain

BYTE_ORDER_MARK = "\ufeff"
_FORMULA_STARTS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
"""A spreadsheet reads text with such a beginning as a formula (OWASP, CSV Injection)."""
_LIVE = re.compile(rf'(^|[,;|\t\r\n])(?=(?:"|[^\S\t\r\n])*[{_FORMULA_STARTS}])')
"""Where a cell of text could begin with a formula.

A program that splits the file at another separator than the file's own does not see the quotes, so
every separator inside a text may begin a cell.
"""


@dataclass(frozen=True)
class CsvDialect:
    """The separators of a file, and whether it starts with a byte order mark."""

    separator: str = ","
    decimal: str = "."
    with_bom: bool = False


PLAIN = CsvDialect()
PLAIN_WITH_BOM = replace(PLAIN, with_bom=True)
SPREADSHEET = CsvDialect(";", ",", with_bom=True)


def csv_lines(rows: Iterable[Sequence[str]], dialect: CsvDialect = PLAIN) -> bytes:
    """The rows as bytes of the file, every cell in quotes; without the byte order mark."""
    buffer = io.StringIO()
    writer = csv.writer(
        buffer, delimiter=dialect.separator, lineterminator="\r\n", quoting=csv.QUOTE_ALL
    )
    writer.writerows(rows)
    return buffer.getvalue().encode("utf-8", "replace")


def escape_formula(text: str | None) -> str:
    """Put an apostrophe before all that a spreadsheet would calculate, at any separator."""
    if not text:
        return ""
    harmless = _LIVE.sub(r"\1'", text)
    return f"'{harmless}" if harmless.startswith(("\t", "\r", "\n")) else harmless


def money_cell(centavos: int, dialect: CsvDialect = PLAIN) -> str:
    """Reais with two decimals and the dialect's decimal mark; a minus before negative amounts."""
    sign = "-" if centavos < 0 else ""
    return sign + plain(abs(centavos)).replace(".", dialect.decimal)


def time_cell(instant: datetime | None, zone: ZoneInfo) -> str:
    """`2026-11-20 12:00:01` in the zone: with an offset, Excel would read text and no date."""
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M:%S}" if instant else ""


def time_heading(label: str, zone: ZoneInfo) -> str:
    """The name of a column of times, with their zone: `Pago em (America/Sao_Paulo)`."""
    return f"{label} ({zone.key})"
