"""Make an API key; a repetition under the same Idempotency-Key gets the same key.

The API key is not stored, so a repetition computes it again: under an Idempotency-Key its random
part is derived from a nonce, which is stored with the answer, and SECRET_KEY.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import replace

from accounts import service
from accounts.access import Caller
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


def make_key_answer(work: Work, caller: Caller, body: NewKey) -> CreatedAnswer:
    """Make a key, or repeat the first answer under the Idempotency-Key.

    Raises Forbidden for scopes that the caller lacks, also in a repetition. Raises Conflict if the
    account has KEYS_MAX keys or the first key was revoked, and IdempotencyConflict for a different
    request under the same Idempotency-Key.
    """
    account, keyed = caller.account, keyed_request(_OPERATION, body)
    if keyed.key is None:
        row, key = service.make_key(
            work, account, body.label, body.scopes, by=caller, key=_new_key()
        )
        return CreatedAnswer("", {**key_object(row), "key": key})
    first = keyed.first_answer(work, account.id)
    if first is not None:
        service.check_grant(caller, body.scopes)
        return _replay(work, account, first)
    nonce = secrets.token_hex(16)
    new_key = _new_key(account, nonce)
    row, key = service.make_key(work, account, body.label, body.scopes, by=caller, key=new_key)
    answer = key_object(row)
    keyed.store(work, account.id, CreatedAnswer("", {**answer, _NONCE: nonce}))
    return CreatedAnswer("", {**answer, "key": key})


def _replay(work: Work, account: Account, first: CreatedAnswer) -> CreatedAnswer:
    answer = dict(first.answer)
    key = _new_key(account, answer.pop(_NONCE))
    if work.accounts.find_by_key_sha256(key_hash(key)) is None:
        raise Conflict("The API key that this Idempotency-Key created was revoked.")
    return replace(first, answer={**answer, "key": key})


def _new_key(account: Account | None = None, nonce: str | None = None) -> str:
    """A random key, or the key that belongs to this account and nonce."""
    if account is None or nonce is None:
        return new_api_key(live=is_live())
    settings = current_settings()
    secret = hmac.digest(settings.secret_key.encode(), b"balcao api keys", "sha256")
    digest = hmac.digest(secret, f"{account.public_id} {nonce}".encode(), "sha256")
    return new_api_key(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), live=is_live())
