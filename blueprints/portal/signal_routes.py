"""Signals for the merchant: counts that reached their threshold, newest first."""

from __future__ import annotations

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from accounts import audit
from accounts.access import page_guard, signed_in_merchant
from blueprints.portal.page import bp, page
from core import ids
from core.errors import InvalidCursor
from db_models import AuditAction
from repository.database import Work, in_unit_of_work, reading
from web.pages import language_args

PAGE = 25


@bp.get("/portal/signals")
@page_guard("merchant")
def signals() -> ResponseReturnValue:
    """The list; `?after=` is the cursor."""
    after = request.args.get("after")
    with reading() as work:
        merchant = signed_in_merchant(work)
        signal_page = work.signals.of_merchant(merchant.id, PAGE, after)
    older_url = None
    if signal_page.next is not None:
        older_url = url_for("portal.signals", after=signal_page.next, **language_args())
    return page(
        "signals.html",
        merchant,
        "signals",
        rows=signal_page.items,
        is_newest=after is None,
        has_unseen=any(signal.seen_at is None for signal, _txid in signal_page.items),
        older_url=older_url,
        was_marked=request.args.get("done") == "seen",
    )


@bp.post("/portal/signals/seen")
@page_guard("merchant")
def see_signals() -> ResponseReturnValue:
    """Mark as seen all signals up to `up_to`, the newest signal on the page."""
    up_to = request.form.get("up_to", "")
    if not ids.is_txid(up_to):
        raise InvalidCursor

    def see(work: Work) -> None:
        merchant = signed_in_merchant(work, "payments:write")
        count = work.signals.mark_seen(merchant.id, work.now, up_to)
        if count:
            audit.record(work, merchant, AuditAction.SIGNALS_SEEN, details={"count": count})

    in_unit_of_work(see)
    return redirect(url_for("portal.signals", done="seen", **language_args()), 303)
