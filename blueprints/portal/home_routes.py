"""The portal's first page: today, the last thirty days, the newest payments."""

from __future__ import annotations

from flask import render_template, request
from flask.typing import ResponseReturnValue

from accounts.access import page_guard
from blueprints.portal.figures import MEDIAN_OF_MAX, figures
from blueprints.portal.page import bp, merchant_and_queries, page
from blueprints.portal.payment_rows import row_of
from blueprints.portal.receipt_routes import FREE
from config import current_settings
from repository.database import reading
from repository.payment_list import PaymentFilters
from web import zones

NEWEST = 8
FREE_NEWEST = 3


@bp.get("/portal")
@page_guard("merchant")
def home() -> ResponseReturnValue:
    """The portal's first page; `?fragment=figures` answers the figures alone."""
    zone = zones.viewer_zone()
    with reading() as work:
        merchant, queries = merchant_and_queries(work)
        page_figures = figures(queries, merchant.id, zone, work.now)
        if request.args.get("fragment") == "figures":
            return render_template(
                "portal/_figures.html", figures=page_figures, median_of=MEDIAN_OF_MAX
            )
        newest = work.payments.of_merchant(merchant.id, PaymentFilters(), None, NEWEST, work.now)
        rows = [row_of(payment, work.now) for payment in newest.items]
        free = work.receipts.of_merchant(merchant.id, FREE, None, FREE_NEWEST)
    return page(
        "home.html",
        merchant,
        "home",
        figures=page_figures,
        median_of=MEDIAN_OF_MAX,
        rows=rows,
        rows_max=NEWEST,
        free_receipts=free.items,
        free_max=FREE_NEWEST,
        has_more=newest.next is not None,
        public_url=current_settings().public_url,
    )
