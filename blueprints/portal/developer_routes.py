"""*Desenvolvedores*: address, keys, API Pix, webhooks, the last events and refused requests."""

from __future__ import annotations

import json

from flask import request, url_for
from flask.typing import ResponseReturnValue

from accounts import halves
from accounts.access import page_guard, signed_in_merchant
from accounts.oauth_clients import SCOPES
from accounts.refusals import KEPT_FOR, KEPT_PER_MERCHANT
from blueprints.portal.page import bp, page
from config import current_parts, current_settings
from repository.database import reading
from repository.feed import Feed
from repository.refused_requests import RefusedRequests
from repository.webhook_endpoints import WebhookEndpoints
from webhooks.bodies import event_object

REFUSALS_UNFOLDED = 10
"""How many refusals stand open on the page; the older ones are folded."""
KEYS_COUNTED = 60
CLIENTS_SHOWN = 60
EVENTS_SHOWN = 10


@bp.get("/portal/developers")
@page_guard("merchant")
def developers() -> ResponseReturnValue:
    """What a program of the merchant needs, and what happened to it."""
    with reading() as work:
        merchant = signed_in_merchant(work)
        rows = RefusedRequests(work.session).newest_of(
            merchant.id, work.now - KEPT_FOR, KEPT_PER_MERCHANT
        )
        keys = work.accounts.keys_of(merchant.id, None, KEYS_COUNTED).items
        clients = work.oauth_clients.newest_of(merchant.id, CLIENTS_SHOWN)
        endpoints = WebhookEndpoints(work.session).of_merchant(merchant.id)
        events = Feed(work).newest(merchant.id, EVENTS_SHOWN)
    presenter = current_parts().presenter
    return page(
        "developers.html",
        merchant,
        "developers",
        is_live=halves.is_live(merchant),
        api_pix_url=current_settings().api_pix_url,
        api_url=current_settings().public_url,
        key_count=sum(key.revoked_at is None for key in keys),
        clients=[client for client in clients if client.revoked_at is None],
        revoked_clients=[client for client in clients if client.revoked_at is not None],
        scope_count=len(SCOPES),
        endpoints=endpoints,
        was_deleted=request.args.get("done") == "deleted",
        was_client_revoked=request.args.get("done") == "client-revoked",
        events=[
            (event, json.dumps(event_object(event, presenter), indent=2, ensure_ascii=False))
            for event in events
        ],
        refusals=rows[:REFUSALS_UNFOLDED],
        older_refusals=rows[REFUSALS_UNFOLDED:],
        days=KEPT_FOR.days,
        errors_url=url_for("docs.error_list"),
    )
