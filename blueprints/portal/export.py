"""Write a list of payments as CSV of any length, one small batch at a time.

RFC 4180: commas, CRLF, quotes doubled. The variant for Brazilian spreadsheets has a byte order
mark, semicolons and decimal commas.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from core.money import plain
from db_models import Payment
from payments.standing import mark_of
from payments.standing_words import label_of
from repository.paging import Cursor, Page
from web.pages import translate as _

BATCH = 200
"""Rows per query: a few milliseconds of work, after which other requests run."""

BYTE_ORDER_MARK = "\ufeff"
_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet reads text with such a beginning as a formula (OWASP, CSV Injection)."""


@dataclass(frozen=True)
class CsvDialect:
    """The separators of a file, and whether it starts with a byte order mark."""

    separator: str = ","
    decimal: str = "."
    with_bom: bool = False


PLAIN = CsvDialect()
PLAIN_WITH_BOM = replace(PLAIN, with_bom=True)
SPREADSHEET = CsvDialect(";", ",", with_bom=True)


def escape_formula(text: str | None) -> str:
    """Put an apostrophe before text that a spreadsheet would calculate."""
    if not text:
        return ""
    return f"'{text}" if text.startswith(_FORMULA_PREFIXES) else text


def headings() -> list[str]:
    """The column names, in the language of the request."""
    return [
        _("Identificador"),
        _("Situação"),
        _("Criado em"),
        _("Vence em"),
        _("Pago em"),
        _("Valor (R$)"),
        _("Devolvido (R$)"),
        _("Pedido"),
        _("Descrição"),
        _("Identificador do Pix (E2E)"),
    ]


def mark_labels() -> dict[str, str]:
    """The label of each mark. Call it in the request: the file is written after the request."""
    marks = ("pending", "confirmed", "expired", "cancelled", "refunded", "part-refunded", "refused")
    return {mark: label_of(mark) for mark in marks}


def csv_chunks(
    batches: Iterator[tuple[Sequence[Payment], datetime]],
    dialect: CsvDialect,
    zone: ZoneInfo,
    column_names: list[str],
    labels: dict[str, str],
) -> Iterator[bytes]:
    """The file's bytes, one batch at a time; times are in `zone`, with their offset."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=dialect.separator, lineterminator="\r\n")
    if dialect.with_bom:
        buffer.write(BYTE_ORDER_MARK)
    writer.writerow(column_names)
    for payments, now in batches:
        writer.writerows(_line(payment, now, dialect, zone, labels) for payment in payments)
        yield buffer.getvalue().encode("utf-8", "replace")
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode("utf-8", "replace")


def _line(
    payment: Payment, now: datetime, dialect: CsvDialect, zone: ZoneInfo, labels: dict[str, str]
) -> list[str]:
    paid_at = payment.resolved_at if payment.end_to_end_id else None
    return [
        payment.txid,
        labels[mark_of(payment, now)],
        _local(payment.created_at, zone),
        _local(payment.expires_at, zone),
        _local(paid_at, zone) if paid_at else "",
        _money(payment.amount_centavos, dialect),
        _money(payment.refunded_centavos, dialect),
        escape_formula(payment.order_id),
        escape_formula(payment.description),
        escape_formula(payment.end_to_end_id),
    ]


def _money(centavos: int, dialect: CsvDialect) -> str:
    return plain(centavos).replace(".", dialect.decimal)


def _local(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).isoformat(sep=" ", timespec="seconds")


def batches(
    read: Callable[[Cursor | None], tuple[Page[Payment], datetime]], pause: Callable[[], None]
) -> Iterator[tuple[Sequence[Payment], datetime]]:
    """All pages of a list, newest first; `pause` lets other requests run between two pages."""
    cursor: Cursor | None = None
    while True:
        page, now = read(cursor)
        yield page.items, now
        if page.next is None:
            return
        cursor = Cursor(page.next)
        pause()
