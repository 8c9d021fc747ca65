"""Make an API key; a repetition under the same Idempotency-Key gets the same key.

The API key is not stored, so a repetition computes it again: under an Idempotency-Key its random
part is derived from a nonce, which is stored with the answer, and SECRET_KEY.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import replace

from accounts import halves, service
from accounts.access import Caller
from accounts.key_modes import ensure_keys_owner
from accounts.keys import key_hash, new_api_key
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

    The answer is stored for the caller's account, also if the key is one of its test half. Raises
    Forbidden for scopes that the caller lacks, also in a repetition, and for a live key in
    development or for a test key. Raises Conflict if the account has KEYS_MAX keys or the first key
    was revoked, and IdempotencyConflict for a different request under the same Idempotency-Key.
    """
    account, owner = caller.account, ensure_keys_owner(work, caller, body.livemode)
    livemode = halves.is_live(owner)
    keyed = keyed_request(_OPERATION, body, without={"livemode"})
    if owner.id != account.id:
        keyed = replace(keyed, fields={**keyed.fields, "livemode": livemode})
    if keyed.key is None:
        row, key = service.make_key(work, owner, body.label, body.scopes, by=caller)
        return CreatedAnswer("", {**key_object(row, livemode=livemode), "key": key})
    first = keyed.first_answer(work, account.id)
    if first is not None:
        service.check_grant(caller, body.scopes)
        return _replay(work, owner, first)
    nonce = secrets.token_hex(16)
    new_key = _derived_key(owner, nonce, current_settings().secret_key)
    row, key = service.make_key(work, owner, body.label, body.scopes, by=caller, key=new_key)
    answer = key_object(row, livemode=livemode)
    keyed.store(work, account.id, CreatedAnswer("", {**answer, _NONCE: nonce}))
    return CreatedAnswer("", {**answer, "key": key})


def _replay(work: Work, owner: Account, first: CreatedAnswer) -> CreatedAnswer:
    answer = {"livemode": halves.is_live(owner), **first.answer}  # old answers lack livemode
    nonce = answer.pop(_NONCE)
    settings = current_settings()
    # The key may have been made before SECRET_KEY was replaced.
    for secret_key in filter(None, (settings.secret_key, settings.secret_key_previous)):
        key = _derived_key(owner, nonce, secret_key)
        if work.accounts.find_by_key_sha256(key_hash(key)) is not None:
            return replace(first, answer={**answer, "key": key})
    raise Conflict(
        "The API key that this Idempotency-Key created was revoked, or SECRET_KEY was replaced."
    )


def _derived_key(owner: Account, nonce: str, secret_key: str) -> str:
    """The key that belongs to this account, nonce and SECRET_KEY."""
    secret = hmac.digest(secret_key.encode(), b"balcao api keys", "sha256")
    digest = hmac.digest(secret, f"{owner.public_id} {nonce}".encode(), "sha256")
    random_part = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return new_api_key(random_part, live=halves.is_live(owner))
