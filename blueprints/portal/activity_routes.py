"""*Atividade*: the merchant's own rows of the audit log, newest first."""

from __future__ import annotations

from flask import request, url_for
from flask.typing import ResponseReturnValue

from accounts import halves
from accounts.access import page_guard, signed_in_merchant
from blueprints.portal.activity import deed_of
from blueprints.portal.page import bp, page
from repository.database import reading
from web.pages import language_args

PAGE = 50


@bp.get("/portal/activity")
@page_guard("merchant")
def activity() -> ResponseReturnValue:
    """The list; `?after=` is the cursor."""
    after = request.args.get("after")
    with reading() as work:
        merchant = signed_in_merchant(work)
        # Nobody signs in to a test half: who did it is its merchant.
        login = halves.owner_of(work, merchant).login
        entries = work.audit.page(PAGE, account_id=merchant.id, after=after)
        deeds = [deed_of(entry) for entry, _login in entries.items]
    older_url = None
    if entries.next is not None:
        older_url = url_for("portal.activity", after=entries.next, **language_args())
    return page(
        "activity.html",
        merchant,
        "settings",
        deeds=deeds,
        login=login,
        is_newest=after is None,
        older_url=older_url,
    )
