"""Write a list of payments as CSV of any length, one small batch at a time.

Each refund that arrived at the payer's bank has a row of its own below its payment's row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from blueprints.portal.csv_cells import (
    BYTE_ORDER_MARK,
    CsvDialect,
    csv_lines,
    escape_formula,
    money_cell,
    time_cell,
    time_heading,
)
from db_models import Payment, PaymentStatus, Refund
from payments.standing import mark_of
from payments.standing_words import label_of
from repository.paging import Cursor, Page
from web.pages import translate as _

BATCH = 200
"""Rows per query: a few milliseconds of work, after which other requests run."""


@dataclass(frozen=True)
class Batch:
    """Some payments as of `now`, with their payers' names and their refunds, by row id."""

    page: Page[Payment]
    now: datetime
    payers: Mapping[int, str | None] = field(default_factory=dict)
    refunds: Mapping[int, Sequence[Refund]] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportWords:
    """The words of the file. Made in the request: the file is written after the request."""

    column_names: list[str]
    labels: dict[str, str]
    refund_label: str


def export_words(zone: ZoneInfo) -> ExportWords:
    """The words in the language of the request; the columns of times name their zone."""
    marks = ("pending", "confirmed", "expired", "cancelled", "refunded", "part-refunded", "refused")
    return ExportWords(
        [
            _("Identificador"),
            _("Situação"),
            time_heading(_("Criado em"), zone),
            time_heading(_("Vence em"), zone),
            time_heading(_("Pago em"), zone),
            _("Pagador"),
            _("Valor (R$)"),
            _("Devolvido (R$)"),
            _("Líquido (R$)"),
            _("Pedido"),
            _("Descrição"),
            _("Identificador do Pix (E2E)"),
        ],
        {mark: label_of(mark) for mark in marks},
        _("Devolução feita"),
    )


def csv_chunks(
    batches: Iterator[Batch], dialect: CsvDialect, zone: ZoneInfo, words: ExportWords
) -> Iterator[bytes]:
    """The file's bytes, one batch at a time; times are in `zone`."""
    mark = BYTE_ORDER_MARK.encode() if dialect.with_bom else b""
    yield mark + csv_lines([words.column_names], dialect)
    for batch in batches:
        rows: list[list[str]] = []
        for payment in batch.page.items:
            rows.append(_payment_row(payment, batch, dialect, zone, words))
            refunds = batch.refunds.get(payment.id, ())
            rows += [_refund_row(payment, refund, dialect, zone, words) for refund in refunds]
        yield csv_lines(rows, dialect)


def _payment_row(
    payment: Payment, batch: Batch, dialect: CsvDialect, zone: ZoneInfo, words: ExportWords
) -> list[str]:
    is_paid = payment.status == PaymentStatus.CONFIRMED
    net = payment.amount_centavos - payment.refunded_centavos if is_paid else 0
    return [
        payment.txid,
        words.labels[mark_of(payment, batch.now)],
        time_cell(payment.created_at, zone),
        time_cell(payment.expires_at, zone),
        time_cell(payment.resolved_at if is_paid else None, zone),
        escape_formula(batch.payers.get(payment.id)),
        money_cell(payment.amount_centavos, dialect),
        money_cell(payment.refunded_centavos, dialect),
        money_cell(net, dialect),
        escape_formula(payment.order_id),
        escape_formula(payment.description),
        escape_formula(payment.end_to_end_id),
    ]


def _refund_row(
    payment: Payment, refund: Refund, dialect: CsvDialect, zone: ZoneInfo, words: ExportWords
) -> list[str]:
    """The refund's own row: the amount is negative, so that the column's sum stays true.

    *Devolvido* and *Líquido* are empty, because the row of the payment has them already.
    """
    return [
        payment.txid,
        words.refund_label,
        time_cell(refund.requested_at, zone),
        "",
        time_cell(refund.settled_at, zone),
        "",
        money_cell(-refund.amount_centavos, dialect),
        "",
        "",
        escape_formula(payment.order_id),
        escape_formula(refund.description),
        escape_formula(refund.return_id),
    ]


def batches(read: Callable[[Cursor | None], Batch], pause: Callable[[], None]) -> Iterator[Batch]:
    """All batches of a list, newest first; `pause` lets other requests run between two."""
    cursor: Cursor | None = None
    while True:
        batch = read(cursor)
        yield batch
        if batch.page.next is None:
            return
        cursor = Cursor(batch.page.next)
        pause()
