"""The addresses for callbacks of API Pix: one for each Pix key of a merchant.

Each function uses the unit of work of its caller and never commits.
"""

from __future__ import annotations

from accounts import audit
from core.webhook_errors import TooManyEndpoints
from db_models import Account, AuditAction, EndpointKind, WebhookEndpoint
from repository.database import Work
from repository.webhook_endpoints import WebhookEndpoints
from webhooks.addresses import check_url
from webhooks.pix_callbacks import callback_url

ENDPOINTS_MAX = 10
"""Per merchant: an address stays when its merchant receives by another key."""
_AUDITED_CHARACTERS = 200


def check_callback_address(url: str, *, allow_private: bool) -> str:
    """The address in its normal form. Raises ValueError with a sentence for the client."""
    normal = check_url(url, allow_private=allow_private)
    check_url(callback_url(normal), allow_private=allow_private)
    return normal


def put(work: Work, merchant: Account, pix_key: str, url: str) -> WebhookEndpoint:
    """Set the address for this key of the merchant; the next callback goes there.

    This also ends a pause. Raises TooManyEndpoints.
    """
    endpoints = WebhookEndpoints(work.session)
    endpoints.lock_merchant(merchant.id)
    endpoint = endpoints.of_pix_key(merchant.id, pix_key)
    details = {"url": url[:_AUDITED_CHARACTERS], "pix_key": pix_key}
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
    if endpoints.count(merchant.id, EndpointKind.PIX) >= ENDPOINTS_MAX:
        raise TooManyEndpoints(f"A shop has callbacks for at most {ENDPOINTS_MAX} Pix keys.")
    endpoint = endpoints.insert(
        {
            "merchant_id": merchant.id,
            "kind": EndpointKind.PIX,
            "pix_key": pix_key,
            "url": url,
            "secret": "",
            "enabled": True,
            "is_gone": False,
            "created_at": work.now,
        }
    )
    audit.record(work, merchant, AuditAction.WEBHOOK_CREATED, endpoint.public_id, details)
    return endpoint
