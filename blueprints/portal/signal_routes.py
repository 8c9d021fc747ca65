"""What a merchant should look at: counts that reached their threshold, newest first."""

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
    """The list; `?after=` goes on behind a signal."""
    after = request.args.get("after")
    with reading() as work:
        merchant = signed_in_merchant(work)
        found = work.signals.of_merchant(merchant.id, PAGE, after)
    older_url = None
    if found.next is not None:
        older_url = url_for("portal.signals", after=found.next, **language_args())
    return page(
        "signals.html",
        merchant,
        "signals",
        shown=found.items,
        is_newest=after is None,
        unseen_here=any(signal.seen_at is None for signal, _txid in found.items),
        older_url=older_url,
        done=request.args.get("done") == "seen",
    )


@bp.post("/portal/signals/seen")
@page_guard("merchant")
def see_signals() -> ResponseReturnValue:
    """Mark as seen everything up to the signal `up_to`, the newest that was on the page."""
    up_to = request.form.get("up_to", "")
    if not ids.is_txid(up_to):
        raise InvalidCursor

    def see(work: Work) -> None:
        merchant = signed_in_merchant(work, "payments:write")
        seen = work.signals.mark_seen(merchant.id, work.now, up_to)
        if seen:
            audit.record(work, merchant, AuditAction.SIGNALS_SEEN, details={"count": seen})

    in_unit_of_work(see)
    return redirect(url_for("portal.signals", done="seen", **language_args()), 303)


def masked(document: str) -> str:
    """A CPF or CNPJ without its first and last digits, as banks show the other side's."""
    if len(document) == 11:
        return f"•••.{document[3:6]}.{document[6:9]}-••"
    if len(document) == 14:
        return f"••.{document[2:5]}.{document[5:8]}/{document[8:12]}-••"
    return "•" * len(document)
