"""The list of payments with its filters and pages, and single rows of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from accounts.access import page_guard, signed_in_merchant
from blueprints.portal.filters import PAGE, STATES, Listing, listing_of, month_days
from blueprints.portal.page import bp, merchant_and_queries, page
from blueprints.portal.payment_rows import row_of
from core import ids
from core.errors import FieldError, InvalidRequest
from db_models import Payment
from payments.standing_words import label_of
from repository.database import now, reading
from repository.paging import Page
from repository.payment_list import SEARCH_WINDOW
from repository.recovery_uploads import RecoveryUploads
from web import zones
from web.pages import language_args
from web.pages import translate as _

PROOFS_COUNTED_MAX = 100
ROWS_MAX = 100
"""Rows per request by id; also the most rows that a list that stays open shows."""


@bp.get("/portal/payments")
@page_guard("merchant")
def payments() -> ResponseReturnValue:
    """The list; `?fragment=rows` answers its rows alone."""
    listing = listing_of(request.args)
    zone = zones.viewer_zone()
    with reading() as work:
        merchant = signed_in_merchant(work)
        payment_page = work.payments.of_merchant(
            merchant.id, listing.filters(zone), listing.cursor, PAGE, work.now
        )
        rows = [row_of(payment, work.now) for payment in payment_page.items]
        if request.args.get("fragment") == "rows":
            return render_template("portal/_rows.html", rows=rows)
        # A filtered list asks for its totals and not for the badge, so that no list costs more.
        totals, proofs = None, 0
        if listing.is_narrowed:
            totals = work.payments.totals(merchant.id, listing.filters(zone), work.now)
        else:
            proofs = RecoveryUploads(work.session).count_unjudged(merchant.id, PROOFS_COUNTED_MAX)
    if listing.cursor is not None and listing.cursor.newer and payment_page.next is None:
        # This newest page may be short; the list without a cursor fills it.
        return redirect(_address(listing), 303)
    older, newer = _page_addresses(listing, payment_page)
    return page(
        "payments.html",
        merchant,
        "payments",
        rows=rows,
        listing=listing,
        states=[(state, label_of(state)) for state in STATES],
        older_url=older,
        newer_url=newer,
        rows_url=_address(listing, fragment="rows"),
        clear_url=url_for("portal.payments", **language_args()),
        export_url=url_for("portal.export", **listing.query()),
        receipt_export_url=url_for("portal.export", by="receipt", **listing.query()),
        urls_without=_addresses_without(listing),
        is_live=listing.cursor is None,
        proofs=proofs,
        proofs_counted_max=PROOFS_COUNTED_MAX,
        search_window=SEARCH_WINDOW,
        totals=totals,
        periods=_periods(listing, now().astimezone(zone).date()),
    )


@bp.get("/portal/payments/rows")
@page_guard("merchant")
def payment_rows() -> ResponseReturnValue:
    """The current rows of the payments in `?ids=`: up to 100 ids, with commas between them."""
    txids = [txid for txid in request.args.get("ids", "").split(",") if txid]
    if len(txids) > ROWS_MAX or not all(ids.is_txid(txid) for txid in txids):
        raise InvalidRequest(
            [FieldError("ids", f"must be at most {ROWS_MAX} payment ids, with commas between them")]
        )
    with reading() as work:
        merchant, queries = merchant_and_queries(work)
        merchant_payments = queries.by_txids(merchant.id, txids) if txids else []
        rows = [row_of(payment, work.now) for payment in merchant_payments]
    return render_template("portal/_rows.html", rows=rows)


def _periods(listing: Listing, today: date) -> list[tuple[str, str, bool]]:
    """For this month and the last: its label, the list of its days, and whether it is in use."""
    periods = []
    for label, months_back in ((_("Este mês"), 0), (_("Mês passado"), 1)):
        first, last = month_days(today, months_back)
        is_in_use = (listing.from_day, listing.to_day) == (first, last)
        periods.append((label, _address(replace(listing, from_day=first, to_day=last)), is_in_use))
    return periods


def _address(listing: Listing, **extra: Any) -> str:
    return url_for("portal.payments", **listing.query(), **language_args(), **extra)


def _page_addresses(listing: Listing, payment_page: Page[Payment]) -> tuple[str | None, str | None]:
    """The addresses of the older and the newer page; None if there is no such page."""
    cursor = listing.cursor
    first = payment_page.items[0].txid if payment_page.items else (cursor.id if cursor else None)
    last = payment_page.items[-1].txid if payment_page.items else (cursor.id if cursor else None)
    if cursor is None or not cursor.newer:
        older = _address(listing, after=payment_page.next) if payment_page.next else None
        newer = _address(listing, before=first) if cursor is not None and first else None
        return older, newer
    return (
        _address(listing, after=last) if last else None,
        _address(listing, before=payment_page.next) if payment_page.next else None,
    )


def _addresses_without(listing: Listing) -> dict[str, str]:
    """For each filter in use: the address of the list without that filter."""
    changes = {"state": "state", "from": "from_day", "to": "to_day", "q": "text", "order": "order"}
    return {
        name: url_for("portal.payments", **listing.query(**{field: None}), **language_args())
        for name, field in changes.items()
        if getattr(listing, field)
    }
