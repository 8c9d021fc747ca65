"""`/portal/payments.csv`: the list with its filters, as a file of any size."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from flask import Flask, Response, current_app, g, request

from accounts.access import page_guard
from blueprints.portal import export as csv_export
from blueprints.portal.csv_cells import PLAIN, PLAIN_WITH_BOM, SPREADSHEET
from blueprints.portal.filters import Listing, listing_of
from blueprints.portal.page import bp, merchant_and_queries
from core.errors import InvalidMoney
from core.money import typed_centavos
from core.runtime.hub import active_hub
from db_models import Payment, PaymentStatus
from repository.database import Work, now, reading
from repository.paging import Cursor, Page
from repository.payment_list import REFUNDED
from web import zones


@bp.get("/portal/payments.csv")
@page_guard("merchant")
def export() -> Response:
    """Takes the list's filters; `?bom=1` adds a byte order mark, `?excel=1` is for Excel.

    With `?by=receipt` the days are those on which the money arrived, newest first, and the file has
    paid payments alone.
    """
    listing = listing_of(request.args)
    zone = zones.viewer_zone()
    with reading() as work:
        merchant, _queries = merchant_and_queries(work)
    app = this_app()
    merchant_id, filters = int(merchant.id), listing.filters(zone)
    is_by_receipt = request.args.get("by") == "receipt"

    def page_of(work: Work, cursor: Cursor | None) -> Page[Payment]:
        if not is_by_receipt:
            return work.payments.of_merchant(
                merchant_id, filters, cursor, csv_export.BATCH, work.now
            )
        span = (filters.created_from, filters.created_to)
        page = work.payments.received(merchant_id, span, cursor, csv_export.BATCH)
        payers = work.receipts.payers_of([one.id for one in page.items])
        fitting = [one for one in page.items if _fits(one, payers.get(one.id), listing)]
        return replace(page, items=fitting)

    def read(cursor: Cursor | None) -> csv_export.Batch:
        # The answer is written after the request, so each batch opens its own unit of work.
        with app.app_context(), reading() as work:
            page = page_of(work, cursor)
            paid = [one for one in page.items if one.status == PaymentStatus.CONFIRMED]
            payers = work.receipts.payers_of([one.id for one in paid])
            refunds = work.refunds.done_of([one.id for one in paid if one.refunded_centavos])
            return csv_export.Batch(page, work.now, payers, refunds)

    dialect = SPREADSHEET if "excel" in request.args else PLAIN
    if "bom" in request.args and dialect is PLAIN:
        dialect = PLAIN_WITH_BOM
    body = csv_export.csv_chunks(
        csv_export.batches(read, _pause_of(app)), dialect, zone, csv_export.export_words(zone)
    )
    test = "teste-" if g.caller.is_test_mode else ""
    name = f"pagamentos-{test}{now().astimezone(zone):%Y-%m-%d}.csv"
    return Response(
        body,
        content_type="text/csv; charset=utf-8; header=present",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        },
    )


def _fits(payment: Payment, payer: str | None, listing: Listing) -> bool:
    """Whether a paid payment meets the list's other filters.

    Each batch is filtered after it was read, so that a rare word costs no query more.
    """
    states = {None, payment.status, REFUNDED if payment.refunded_centavos else None}
    return (
        listing.state in states
        and listing.order in (None, payment.order_id)
        and (listing.text is None or _has_text(payment, payer, listing.text))
    )


def _has_text(payment: Payment, payer: str | None, text: str) -> bool:
    """Whether the list's search would find the payment by this text."""
    if text in (payment.order_id, payment.txid, payment.end_to_end_id):
        return True
    with suppress(InvalidMoney):
        if typed_centavos(text) == payment.amount_centavos:
            return True
    return any(text.casefold() in (each or "").casefold() for each in (payment.description, payer))


def this_app() -> Flask:
    """The app itself, for an answer that is written after its request."""
    return cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]


def _pause_of(app: Flask) -> Any:
    """A function that lets other green threads run; does nothing under real threads."""
    if active_hub() == "threading":
        return lambda: None
    sleep: Any = app.extensions["socketio"].sleep
    return lambda: sleep(0)
