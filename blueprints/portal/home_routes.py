"""The portal's first page: today, the last thirty days, the newest payments."""

from __future__ import annotations

from collections.abc import Sequence

from flask import render_template, request
from flask.typing import ResponseReturnValue

from accounts.access import page_guard
from blueprints.portal.figures import MEDIAN_OF_MAX, figures
from blueprints.portal.page import bp, merchant_and_queries, page
from blueprints.portal.payment_rows import row_of
from blueprints.portal.provider_views import troubled_accounts
from blueprints.portal.receipt_routes import FREE
from config import current_settings
from repository.database import reading
from repository.payment_list import PaymentFilters
from repository.receipts import ListedReceipt
from repository.webhook_endpoints import WebhookEndpoints
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
        page_figures = figures(queries, merchant, zone, work.now)
        if request.args.get("fragment") == "figures":
            return render_template(
                "portal/_figures.html", figures=page_figures, median_of=MEDIAN_OF_MAX
            )
        newest = work.payments.of_merchant(merchant.id, PaymentFilters(), None, NEWEST, work.now)
        rows = [row_of(payment, work.now) for payment in newest.items]
        free_receipts: Sequence[ListedReceipt] = ()
        if page_figures.has_free_money:
            free_receipts = work.receipts.of_merchant(merchant.id, FREE, None, FREE_NEWEST).items
        webhooks = WebhookEndpoints(work.session).of_merchant(merchant.id)
        troubled = troubled_accounts(work, merchant)
    return page(
        "home.html",
        merchant,
        "home",
        figures=page_figures,
        median_of=MEDIAN_OF_MAX,
        rows=rows,
        has_first_steps=not page_figures.has_money,
        rows_max=NEWEST,
        free_receipts=free_receipts,
        free_max=FREE_NEWEST,
        troubled_accounts=troubled,
        paused_webhooks=[one for one in webhooks if one.enabled and one.paused_at is not None],
        has_more=newest.next is not None,
        public_url=current_settings().public_url,
    )
