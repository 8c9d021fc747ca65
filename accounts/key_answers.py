"""The answer to making a key, the same one again under the same Idempotency-Key.

The key itself is kept nowhere, so it is made again: under an Idempotency-Key its random part is
computed from a nonce that is kept with the answer, and a secret that is not.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import replace

from accounts import service
from accounts.keys import is_live, key_hash, new_api_key
from accounts.presenter import key_object
from accounts.schemas import NewKey
from config import current_settings
from core.errors import Conflict
from db_models import Account
from repository.database import Work
from web.idempotency import CreatedAnswer, keyed_request

_OPERATION = "make a key"
_NONCE = "nonce"


def made_key(work: Work, account: Account, body: NewKey) -> CreatedAnswer:
    """The answer that shows a new key, or the first answer under the Idempotency-Key.

    Raises Conflict where the account has as many keys as it may, or the key is revoked since,
    and IdempotencyConflict for another request under the same Idempotency-Key.
    """
    keyed = keyed_request(_OPERATION, body)
    if keyed.key is None:
        row, key = service.make_key(work, account, body.label, body.scopes, _fresh())
        return CreatedAnswer("", {**key_object(row), "key": key})
    first = keyed.first_answer(work, account.id)
    if first is not None:
        return _again(work, account, first)
    nonce = secrets.token_hex(16)
    row, key = service.make_key(work, account, body.label, body.scopes, _fresh(account, nonce))
    answer = key_object(row)
    keyed.store(work, account.id, CreatedAnswer("", {**answer, _NONCE: nonce}))
    return CreatedAnswer("", {**answer, "key": key})


def _again(work: Work, account: Account, first: CreatedAnswer) -> CreatedAnswer:
    answer = dict(first.answer)
    key = _fresh(account, answer.pop(_NONCE))
    if work.accounts.find_by_key_sha256(key_hash(key)) is None:
        raise Conflict("The key that was made for this Idempotency-Key is revoked since.")
    return replace(first, answer={**answer, "key": key})


def _fresh(account: Account | None = None, nonce: str | None = None) -> str:
    """A key: random, or the one of this account and nonce."""
    if account is None or nonce is None:
        return new_api_key(live=is_live())
    settings = current_settings()
    secret = hmac.digest(settings.secret_key.encode(), b"balcao api keys", "sha256")
    drawn = hmac.digest(secret, f"{account.public_id} {nonce}".encode(), "sha256")
    return new_api_key(base64.urlsafe_b64encode(drawn).rstrip(b"=").decode(), live=is_live())
