"""The addresses for callbacks of API Pix.

A merchant has one for each Pix key, one for recurrences and one for recurring charges.

Each function uses the unit of work of its caller and never commits.
"""

from __future__ import annotations

from collections.abc import Mapping

from accounts import audit
from core.webhook_errors import TooManyEndpoints
from db_models import Account, AuditAction, EndpointKind, WebhookEndpoint
from repository.database import Work
from repository.webhook_endpoints import WebhookEndpoints
from webhooks.addresses import check_url
from webhooks.pix_callbacks import callback_url

ENDPOINTS_MAX = 10
"""Of Pix keys, per merchant: an address stays when its merchant receives by another key."""
_AUDITED_CHARACTERS = 200


def check_callback_address(url: str, kind: EndpointKind, *, allow_private: bool) -> str:
    """The address in its normal form. Raises ValueError with a sentence for the client."""
    normal = check_url(url, allow_private=allow_private)
    check_url(callback_url(normal, kind), allow_private=allow_private)
    return normal


def put(work: Work, merchant: Account, pix_key: str, url: str) -> WebhookEndpoint:
    """Set the address for this key of the merchant; the next callback goes there.

    This also ends a pause. Raises TooManyEndpoints.
    """
    endpoints = _locked(work, merchant)
    own = {"kind": EndpointKind.PIX, "pix_key": pix_key}
    endpoint = endpoints.of_pix_key(merchant.id, pix_key)
    if endpoint is None and endpoints.count(merchant.id, EndpointKind.PIX) >= ENDPOINTS_MAX:
        raise TooManyEndpoints(f"A shop has callbacks for at most {ENDPOINTS_MAX} Pix keys.")
    return _store(work, merchant, endpoint, url, own)


def put_sole(work: Work, merchant: Account, kind: EndpointKind, url: str) -> WebhookEndpoint:
    """Set the merchant's address for recurrences or for recurring charges, as `put` does."""
    endpoint = _locked(work, merchant).sole(merchant.id, kind)
    return _store(work, merchant, endpoint, url, {"kind": kind})


def _locked(work: Work, merchant: Account) -> WebhookEndpoints:
    """The queries, while no other transaction adds an endpoint for this merchant."""
    endpoints = WebhookEndpoints(work.session)
    endpoints.lock_merchant(merchant.id)
    return endpoints


def _store(
    work: Work,
    merchant: Account,
    endpoint: WebhookEndpoint | None,
    url: str,
    own: Mapping[str, str],
) -> WebhookEndpoint:
    """Change the endpoint's address, or insert an endpoint; `own` is what it is for."""
    endpoints = WebhookEndpoints(work.session)
    details = {"url": url[:_AUDITED_CHARACTERS], **own}
    if endpoint is not None:
        values = {
            "url": url,
            "enabled": True,
            "is_gone": False,
            "failing_since": None,
            "paused_at": None,
        }
        endpoints.change(endpoint.id, values)
        audit.record(work, merchant, AuditAction.WEBHOOK_CHANGED, endpoint.public_id, details)
        for name, value in values.items():
            setattr(endpoint, name, value)
        return endpoint
    endpoint = endpoints.insert(
        {
            **own,
            "merchant_id": merchant.id,
            "url": url,
            "secret": "",
            "enabled": True,
            "is_gone": False,
            "created_at": work.now,
        }
    )
    audit.record(work, merchant, AuditAction.WEBHOOK_CREATED, endpoint.public_id, details)
    return endpoint
