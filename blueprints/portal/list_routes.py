"""The list of payments: narrowed and paged by its address, and its rows one by one."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from accounts.access import page_guard, signed_in_merchant
from blueprints.portal.filters import PAGE, STATES, Listing, listing_of
from blueprints.portal.page import bp, merchant_and_queries, page
from blueprints.portal.payment_rows import label_of, row_of
from core import ids
from core.errors import FieldError, InvalidRequest
from db_models import Payment
from repository.database import reading
from repository.paging import Page
from repository.payment_list import SEARCH_WINDOW
from repository.recovery_uploads import RecoveryUploads
from web import zones
from web.pages import language_args

PROOFS_COUNTED_MAX = 100
ROWS_MAX = 100
"""As many rows may be asked for by their ids at once as a list that stayed open may show."""


@bp.get("/portal/payments")
@page_guard("merchant")
def payments() -> ResponseReturnValue:
    """The list; `?fragment=rows` gives its rows alone."""
    asked = listing_of(request.args)
    zone = zones.viewer_zone()
    with reading() as work:
        merchant = signed_in_merchant(work)
        found = work.payments.of_merchant(
            merchant.id, asked.filters(zone), asked.cursor, PAGE, work.now
        )
        rows = [row_of(payment, work.now) for payment in found.items]
        if request.args.get("fragment") == "rows":
            return render_template("portal/_rows.html", rows=rows)
        proofs = RecoveryUploads(work.session).waiting(merchant.id, PROOFS_COUNTED_MAX)
    if asked.cursor is not None and asked.cursor.newer and found.next is None:
        # The newest page, perhaps a short one: the list from its beginning shows it whole.
        return redirect(_address(asked), 303)
    older, newer = _ways_on(asked, found)
    return page(
        "payments.html",
        merchant,
        "payments",
        rows=rows,
        asked=asked,
        states=[(state, label_of(state)) for state in STATES],
        older_url=older,
        newer_url=newer,
        rows_url=_address(asked, fragment="rows"),
        clear_url=url_for("portal.payments", **language_args()),
        export_url=url_for("portal.export", **asked.query()),
        without=_without(asked),
        is_live=asked.cursor is None,
        proofs=proofs,
        proofs_counted_max=PROOFS_COUNTED_MAX,
        search_window=SEARCH_WINDOW,
    )


@bp.get("/portal/payments/rows")
@page_guard("merchant")
def payment_rows() -> ResponseReturnValue:
    """The rows of these payments as they stand now: `?ids=` with up to 100 ids and commas."""
    txids = [txid for txid in request.args.get("ids", "").split(",") if txid]
    if len(txids) > ROWS_MAX or not all(ids.is_txid(txid) for txid in txids):
        raise InvalidRequest([FieldError("ids", f"must be up to {ROWS_MAX} ids of payments")])
    with reading() as work:
        merchant, queries = merchant_and_queries(work)
        found = queries.by_txids(merchant.id, txids) if txids else []
        rows = [row_of(payment, work.now) for payment in found]
    return render_template("portal/_rows.html", rows=rows)


def _address(asked: Listing, **more: Any) -> str:
    return url_for("portal.payments", **asked.query(), **language_args(), **more)


def _ways_on(asked: Listing, found: Page[Payment]) -> tuple[str | None, str | None]:
    """The addresses of the older and of the newer page, where there are such."""
    cursor = asked.cursor
    first = found.items[0].txid if found.items else (cursor.id if cursor else None)
    last = found.items[-1].txid if found.items else (cursor.id if cursor else None)
    if cursor is None or not cursor.newer:
        older = _address(asked, after=found.next) if found.next else None
        newer = _address(asked, before=first) if cursor is not None and first else None
        return older, newer
    return (
        _address(asked, after=last) if last else None,
        _address(asked, before=found.next) if found.next else None,
    )


def _without(asked: Listing) -> dict[str, str]:
    """The address without one of the filters, by its name."""
    changes = {"state": "state", "from": "from_day", "to": "to_day", "q": "text", "order": "order"}
    return {
        name: url_for("portal.payments", **asked.query(**{field: None}), **language_args())
        for name, field in changes.items()
        if getattr(asked, field)
    }
