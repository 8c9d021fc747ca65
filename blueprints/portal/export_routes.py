"""`/portal/payments.csv`: the list, as narrowed, as a file of any size."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from flask import Flask, Response, current_app, request

from accounts.access import page_guard
from blueprints.portal import export as file
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
    """The list's filters; `?bom=1` adds a byte order mark, `?excel=1` writes as Excel expects."""
    asked = listing_of(request.args)
    zone = zones.viewer_zone()
    with reading() as work:
        merchant, _queries = merchant_and_queries(work)
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
    merchant_id, filters = int(merchant.id), asked.filters(zone)

    def read(cursor: Cursor | None) -> tuple[Page[Payment], datetime]:
        # The answer is written after the request: each batch opens what it needs, and closes it.
        with app.app_context(), reading() as work:
            found = work.payments.of_merchant(merchant_id, filters, cursor, file.BATCH, work.now)
            return found, work.now

    form = file.SPREADSHEET if "excel" in request.args else file.PLAIN
    if "bom" in request.args:
        form = file.MARKED if form is file.PLAIN else form
    body = file.written(file.batches(read, _rest(app)), form, zone, file.headings(), file.labels())
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


def _rest(app: Flask) -> Any:
    """A turn for everybody else at the hub; a thread needs to give none."""
    if active_hub() == "threading":
        return lambda: None
    sleep: Any = app.extensions["socketio"].sleep
    return lambda: sleep(0)
