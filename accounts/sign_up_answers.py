"""Sign up; a repetition under the same Idempotency-Key gets the first answer.

Nobody is signed in yet, so the password proves that a repetition comes from the same person: with
another password the answer is that the login is taken. The request is stored without its password,
which is compared with the account's hash.
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


def sign_up_answer(body: NewUser) -> BaseResponse:
    """Sign up and answer 201. Raises as `service.sign_up` does, and IdempotencyConflict."""
    keyed = keyed_request("sign up", body, without={"password", "pin"})
    if body.pin is not None and body.role != PAYER:
        raise InvalidRequest([FieldError("pin", "is only for payers")])

    def store(work: Work, account: Account) -> None:
        keyed.store(work, account.id, CreatedAnswer(_LOCATION, user_object(account)))

    try:
        account = service.sign_up(body, store)
    except LoginTaken:
        first = _first_answer(keyed, body)
        if first is None:
            raise
        return first.response()
    answer = user_object(account) | _call_listeners(account, body.pin)
    return CreatedAnswer(_LOCATION, answer).response()


def _call_listeners(account: Account, pin: str | None) -> dict[str, Any]:
    """Call the sign-up listeners; return the members they add to this answer.

    They are not stored, so a replay lacks them. No transaction is open: a listener may be slow.
    """
    members: dict[str, Any] = {}
    for listener in current_parts().sign_up_listeners:
        members |= listener(account, pin)
    return members


def _first_answer(keyed: KeyedRequest, body: NewUser) -> CreatedAnswer | None:
    """The first answer to this sign-up; None if the key or the password is another."""
    with reading() as work:
        account = work.accounts.find_by_login(body.username)
        first = keyed.first_request(work, account.id) if account is not None else None
    if account is None or first is None or first.operation != keyed.operation:
        return None
    if not passwords.is_right(body.password, account.password_hash):
        return None
    return keyed.replay_of(first)
