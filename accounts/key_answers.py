"""The answer to making a key, the same one again under the same Idempotency-Key.

The key itself is kept nowhere, so it is made again: under an Idempotency-Key its random part is
computed from a nonce that is kept with the answer, and a secret that is not.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import Any

from accounts import service
from accounts.idempotency import differing_fields, request_key
from accounts.keys import is_live, key_hash, new_api_key
from accounts.presenter import key_object
from accounts.schemas import NewKey
from config import current_settings
from core.errors import Conflict
from db_models import Account, IdempotentRequest
from repository.database import Work

_OPERATION = "make a key"
_NONCE = "nonce"


def made_key(work: Work, account: Account, body: NewKey) -> tuple[dict[str, Any], bool]:
    """The answer that shows a new key, and whether it is an answer given before.

    Raises Conflict where the account has as many keys as it may, or the key is revoked since,
    and IdempotencyConflict for another request under the same Idempotency-Key.
    """
    asked = request_key()
    if asked is None:
        row, key = service.make_key(work, account, body.label, body.scopes, _fresh())
        return {**key_object(row), "key": key}, False
    kept = work.idempotent_requests.find(account.id, asked)
    if kept is not None:
        return _again(work, account, body, kept), True
    nonce = secrets.token_hex(16)
    row, key = service.make_key(work, account, body.label, body.scopes, _fresh(account, nonce))
    answer = key_object(row)
    work.idempotent_requests.insert(
        {
            "merchant_id": account.id,
            "key": asked,
            "operation": _OPERATION,
            "request": body.model_dump(mode="json"),
            "status": 201,
            "location": "",
            "answer": {**answer, _NONCE: nonce},
            "created_at": work.now,
        }
    )
    return {**answer, "key": key}, False


def _again(work: Work, account: Account, body: NewKey, kept: IdempotentRequest) -> dict[str, Any]:
    differing_fields(kept, _OPERATION, body.model_dump(mode="json"))
    answer = dict(kept.answer)
    key = _fresh(account, answer.pop(_NONCE))
    if work.accounts.find_by_key_sha256(key_hash(key)) is None:
        raise Conflict("The key that was made for this Idempotency-Key is revoked since.")
    return {**answer, "key": key}


def _fresh(account: Account | None = None, nonce: str | None = None) -> str:
    """A key: random, or the one of this account and nonce."""
    if account is None or nonce is None:
        return new_api_key(live=is_live())
    settings = current_settings()
    secret = hmac.digest(settings.secret_key.encode(), b"balcao api keys", "sha256")
    drawn = hmac.digest(secret, f"{account.public_id} {nonce}".encode(), "sha256")
    return new_api_key(base64.urlsafe_b64encode(drawn).rstrip(b"=").decode(), live=is_live())
