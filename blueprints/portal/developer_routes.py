"""*Desenvolvedores*: what a program of the merchant needs, and its last refused requests."""

from __future__ import annotations

from flask import url_for
from flask.typing import ResponseReturnValue

from accounts.access import page_guard, signed_in_merchant
from accounts.refusals import KEPT_FOR, KEPT_PER_MERCHANT
from blueprints.portal.page import bp, page
from config import current_settings
from repository.database import reading
from repository.refused_requests import RefusedRequests

REFUSALS_UNFOLDED = 10
"""How many refusals stand open on the page; the older ones are folded."""
KEYS_COUNTED = 60


@bp.get("/portal/developers")
@page_guard("merchant")
def developers() -> ResponseReturnValue:
    """The service's address and mode, the keys, and the refusals of the last seven days."""
    with reading() as work:
        merchant = signed_in_merchant(work)
        rows = RefusedRequests(work.session).newest_of(
            merchant.id, work.now - KEPT_FOR, KEPT_PER_MERCHANT
        )
        keys = work.accounts.keys_of(merchant.id, None, KEYS_COUNTED).items
    return page(
        "developers.html",
        merchant,
        "developers",
        is_live=current_settings().is_live,
        api_url=current_settings().public_url,
        key_count=sum(key.revoked_at is None for key in keys),
        refusals=rows[:REFUSALS_UNFOLDED],
        older_refusals=rows[REFUSALS_UNFOLDED:],
        days=KEPT_FOR.days,
        errors_url=url_for("docs.error_list"),
    )
