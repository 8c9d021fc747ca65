"""Who calls: the merchant of the token, for operations that need a scope."""

from __future__ import annotations

from flask import request

from accounts.oauth_tokens import merchant_of_token
from db_models import Account
from repository.database import Work


def merchant_for(work: Work, scope: str) -> Account:
    """The merchant whose client calls; one statement. Raises Unauthorized and Forbidden."""
    return merchant_of_token(work, request.headers.get("Authorization"), scope)
