"""Who calls: the merchant of the token, for operations that need a scope."""

from __future__ import annotations

from flask import request

from accounts.oauth_tokens import merchant_of_token
from config import current_settings
from db_models import Account
from repository.database import Work
from web import request_counts


def merchant_for(work: Work, scope: str) -> Account:
    """The merchant whose client calls; one statement. Raises Unauthorized and Forbidden."""
    return merchant_of_token(work, request.headers.get("Authorization"), scope)


def count_change(merchant: Account) -> None:
    """Count a request that stores something: a charge, a revision, a location.

    A merchant may send as many in a minute as it may create payments. Raises TooManyRequests.
    """
    most = current_settings().creations_per_minute
    request_counts.take(request_counts.CREATIONS, most, f"account {merchant.id}")
