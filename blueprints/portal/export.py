"""A list as CSV, however long: read in small batches of its own and written as it is read.

RFC 4180: commas, CRLF, quotes doubled. The variant for spreadsheets in Brazil has what those expect
instead: a byte order mark, semicolons and decimal commas.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from blueprints.portal.payment_rows import label_of, mark_of
from core.money import plain
from db_models import Payment
from repository.paging import Cursor, Page
from web.pages import spoken as _

BATCH = 200
"""Rows read at once: some milliseconds of work, after which others have their turn."""

BYTE_ORDER_MARK = "\ufeff"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet takes text that begins so for a formula (OWASP, CSV Injection)."""


@dataclass(frozen=True)
class CsvDialect:
    """How the file is written."""

    separator: str = ","
    decimal: str = "."
    with_mark: bool = False


PLAIN = CsvDialect()
MARKED = replace(PLAIN, with_mark=True)
SPREADSHEET = CsvDialect(";", ",", with_mark=True)


def harmless(text: str | None) -> str:
    """The text, with an apostrophe before what a spreadsheet would calculate."""
    if not text:
        return ""
    return f"'{text}" if text.startswith(_FORMULA) else text


def headings() -> list[str]:
    """The first line."""
    return [
        _("Identificador"),
        _("Estado"),
        _("Criado em"),
        _("Vence em"),
        _("Pago em"),
        _("Valor (R$)"),
        _("Devolvido (R$)"),
        _("Pedido"),
        _("Descrição"),
        _("Identificador fim a fim"),
    ]


def labels() -> dict[str, str]:
    """The words for states, in the language of the request: the file is written after it."""
    marks = ("pending", "confirmed", "expired", "cancelled", "refunded", "part-refunded", "refused")
    return {mark: label_of(mark) for mark in marks}


def written(
    batches: Iterator[tuple[Sequence[Payment], datetime]],
    form: CsvDialect,
    zone: ZoneInfo,
    first_line: list[str],
    words: dict[str, str],
) -> Iterator[bytes]:
    """The file, a batch at a time; times are the zone's, with their offset."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=form.separator, lineterminator="\r\n")
    if form.with_mark:
        buffer.write(BYTE_ORDER_MARK)
    writer.writerow(first_line)
    for payments, now in batches:
        writer.writerows(_line(payment, now, form, zone, words) for payment in payments)
        yield buffer.getvalue().encode("utf-8", "replace")
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode("utf-8", "replace")


def _line(
    payment: Payment, now: datetime, form: CsvDialect, zone: ZoneInfo, words: dict[str, str]
) -> list[str]:
    paid_at = payment.resolved_at if payment.end_to_end_id else None
    return [
        payment.txid,
        words[mark_of(payment, now)],
        _local(payment.created_at, zone),
        _local(payment.expires_at, zone),
        _local(paid_at, zone) if paid_at else "",
        _money(payment.amount_centavos, form),
        _money(payment.refunded_centavos, form),
        harmless(payment.order_id),
        harmless(payment.description),
        harmless(payment.end_to_end_id),
    ]


def _money(centavos: int, form: CsvDialect) -> str:
    return plain(centavos).replace(".", form.decimal)


def _local(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).isoformat(sep=" ", timespec="seconds")


def batches(
    read: Callable[[Cursor | None], tuple[Page[Payment], datetime]], rest: Callable[[], None]
) -> Iterator[tuple[Sequence[Payment], datetime]]:
    """Every page of a list by its key, newest first; `rest` lets others work in between."""
    cursor: Cursor | None = None
    while True:
        page, now = read(cursor)
        yield page.items, now
        if page.next is None:
            return
        cursor = Cursor(page.next)
        rest()
