"""The answer to a sign-up, the same one again under the same Idempotency-Key.

Whose key it is, only the password tells: without it a repetition finds a taken login, as anybody
else would. The password is compared with its hash, and not kept with the request.
"""

from __future__ import annotations

from typing import Any

from flask import Response

from accounts import passwords, service
from accounts.idempotency import differing_fields, request_key
from accounts.presenter import user_object
from accounts.schemas import NewUser
from config import current_parts
from core.errors import FieldError, InvalidRequest, LoginTaken
from db_models import Account
from db_models.account import PAYER
from repository.database import Work, reading
from web.answers import private_json

_OPERATION = "sign up"


def answer_of(body: NewUser) -> Response:
    """Sign up and answer 201. Raises what `service.sign_up` does, and IdempotencyConflict."""
    key = request_key()
    if body.pin is not None and body.role != PAYER:
        raise InvalidRequest([FieldError("pin", "is for payers alone")])
    replayed = False
    try:
        account = service.sign_up(body, lambda work, new: _keep(work, new, key, body))
        answer = user_object(account) | _told_once(account, body.pin)
    except LoginTaken:
        first = _first_answer(body, key) if key is not None else None
        if first is None:
            raise
        answer, replayed = first, True
    response = private_json(answer, 201)
    response.headers["Location"] = "/users/me/"
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def _told_once(account: Account, pin: str | None) -> dict[str, Any]:
    """What others add to this answer and keep nowhere: the sign-up listeners.

    They are called after the commit, and may take their time: no transaction is open.
    """
    told: dict[str, Any] = {}
    for listener in current_parts().sign_up_listeners:
        told |= listener(account, pin)
    return told


def _kept_fields(body: NewUser) -> dict[str, Any]:
    return body.model_dump(mode="json", exclude={"password", "pin"})


def _keep(work: Work, account: Account, key: str | None, body: NewUser) -> None:
    if key is None:
        return
    work.idempotent_requests.insert(
        {
            "merchant_id": account.id,
            "key": key,
            "operation": _OPERATION,
            "request": _kept_fields(body),
            "status": 201,
            "location": "/users/me/",
            "answer": user_object(account),
            "created_at": work.now,
        }
    )


def _first_answer(body: NewUser, key: str) -> dict[str, Any] | None:
    with reading() as work:
        account = work.accounts.find_by_login(body.username)
        kept = work.idempotent_requests.find(account.id, key) if account is not None else None
    if account is None or kept is None or kept.operation != _OPERATION:
        return None
    if not passwords.is_right(body.password, account.password_hash):
        return None
    differing_fields(kept, _OPERATION, _kept_fields(body))
    return kept.answer
