"""`/portal/payments.csv`: the list with its filters, as a file of any size."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from flask import Flask, Response, current_app, request

from accounts.access import page_guard
from blueprints.portal import export as csv_export
from blueprints.portal.filters import listing_of
from blueprints.portal.page import bp, merchant_and_queries
from core.runtime.hub import active_hub
from db_models import Payment
from repository.database import now, reading
from repository.paging import Cursor, Page
from web import zones


@bp.get("/portal/payments.csv")
@page_guard("merchant")
def export() -> Response:
    """Takes the list's filters; `?bom=1` adds a byte order mark, `?excel=1` is for Excel."""
    listing = listing_of(request.args)
    zone = zones.viewer_zone()
    with reading() as work:
        merchant, _queries = merchant_and_queries(work)
    app = this_app()
    merchant_id, filters = int(merchant.id), listing.filters(zone)

    def read(cursor: Cursor | None) -> tuple[Page[Payment], datetime]:
        # The answer is written after the request, so each batch opens its own unit of work.
        with app.app_context(), reading() as work:
            page = work.payments.of_merchant(
                merchant_id, filters, cursor, csv_export.BATCH, work.now
            )
            return page, work.now

    dialect = csv_export.SPREADSHEET if "excel" in request.args else csv_export.PLAIN
    if "bom" in request.args and dialect is csv_export.PLAIN:
        dialect = csv_export.PLAIN_WITH_BOM
    body = csv_export.csv_chunks(
        csv_export.batches(read, _pause_of(app)),
        dialect,
        zone,
        csv_export.headings(),
        csv_export.mark_labels(),
    )
    name = f"pagamentos-{now().astimezone(zone):%Y-%m-%d}.csv"
    return Response(
        body,
        content_type="text/csv; charset=utf-8; header=present",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        },
    )


def this_app() -> Flask:
    """The app itself, for an answer that is written after its request."""
    return cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]


def _pause_of(app: Flask) -> Any:
    """A function that lets other green threads run; does nothing under real threads."""
    if active_hub() == "threading":
        return lambda: None
    sleep: Any = app.extensions["socketio"].sleep
    return lambda: sleep(0)
