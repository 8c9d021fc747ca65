"""The answer to a sign-up, the same one again under the same Idempotency-Key.

Whose key it is, only the password tells: without it a repetition finds a taken login, as anybody
else would. The password is compared with its hash, and not kept with the request.
"""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response as BaseResponse

from accounts import passwords, service
from accounts.presenter import user_object
from accounts.schemas import NewUser
from config import current_parts
from core.errors import FieldError, InvalidRequest, LoginTaken
from db_models import Account
from db_models.account import PAYER
from repository.database import Work, reading
from web.idempotency import CreatedAnswer, KeyedRequest, keyed_request

_LOCATION = "/users/me/"


def answer_of(body: NewUser) -> BaseResponse:
    """Sign up and answer 201. Raises what `service.sign_up` does, and IdempotencyConflict."""
    keyed = keyed_request("sign up", body, without={"password", "pin"})
    if body.pin is not None and body.role != PAYER:
        raise InvalidRequest([FieldError("pin", "is for payers alone")])

    def store(work: Work, account: Account) -> None:
        keyed.store(work, account.id, CreatedAnswer(_LOCATION, user_object(account)))

    try:
        account = service.sign_up(body, store)
    except LoginTaken:
        first = _first_answer(keyed, body)
        if first is None:
            raise
        return first.response()
    answer = user_object(account) | _told_once(account, body.pin)
    return CreatedAnswer(_LOCATION, answer).response()


def _told_once(account: Account, pin: str | None) -> dict[str, Any]:
    """What others add to this answer and keep nowhere: the sign-up listeners.

    They are called after the commit, and may take their time: no transaction is open.
    """
    told: dict[str, Any] = {}
    for listener in current_parts().sign_up_listeners:
        told |= listener(account, pin)
    return told


def _first_answer(keyed: KeyedRequest, body: NewUser) -> CreatedAnswer | None:
    """The first answer to this sign-up; None unless key and password are those of the account."""
    with reading() as work:
        account = work.accounts.find_by_login(body.username)
        stored = keyed.stored(work, account.id) if account is not None else None
    if account is None or stored is None or stored.operation != keyed.operation:
        return None
    if not passwords.is_right(body.password, account.password_hash):
        return None
    return keyed.replay_of(stored)
