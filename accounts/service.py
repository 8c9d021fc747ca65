"""What people do with their accounts: sign up, change the password, make and revoke keys."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from accounts import audit, passwords, sign_ins, throttle
from accounts.access import DEMO_LOGIN, Caller
from accounts.keys import is_live, key_hash, new_api_key, shown_prefix
from accounts.schemas import NewUser
from core.errors import (
    Conflict,
    FieldError,
    Forbidden,
    InvalidRequest,
    LoginTaken,
    NotFound,
    Unauthorized,
)
from core.ids import new_public_id
from core.pix import br_code
from core.pix.br_code import BrCodeError
from db_models import Account, ApiKey, AuditAction
from db_models.account import MERCHANT
from repository.database import LostRace, Work, in_unit_of_work

DEFAULT_CITY = "São Paulo"
"""Where a shop is until it says so: no BR Code is without a city."""

KEYS_MAX = 50
"""Keys in use that one account may have."""


def sign_up(body: NewUser, also: Callable[[Work, Account], object] | None = None) -> Account:
    """Make an account, in a unit of work of its own; a merchant can receive at once.

    `also` is done in the same unit. Raises InvalidRequest for a name no BR Code can hold, and
    LoginTaken.
    """
    if body.password == body.username:
        raise InvalidRequest([FieldError("password", "must not be the username")])
    password_hash = passwords.hashed(body.password)

    def make(work: Work) -> Account:
        account = create(
            work,
            login=body.username,
            password_hash=password_hash,
            role=body.role,
            name=body.name,
            email=body.email,
        )
        if also is not None:
            also(work, account)
        return account

    try:
        return in_unit_of_work(make, attempts=1)
    except LostRace:
        raise LoginTaken(f"The login {body.username} is taken.") from None


def create(
    work: Work,
    *,
    login: str,
    role: str,
    password_hash: str | None,
    name: str | None = None,
    email: str | None = None,
    is_demo: bool = False,
    **more: Any,
) -> Account:
    """Make an account with what a merchant needs to receive: a random Pix key and a city.

    Raises LoginTaken, LostRace where another was first, and InvalidRequest for a name or city that
    no BR Code can hold.
    """
    reserved = login == DEMO_LOGIN and not is_demo
    if reserved or work.accounts.find_by_login(login) is not None:
        raise LoginTaken(f"The login {login} is taken.")
    values = {
        "public_id": new_public_id(),
        "login": login,
        "role": role,
        "password_hash": password_hash,
        "email": email,
        "name": name or login,
        "city": DEFAULT_CITY,
        "pix_key": str(uuid.uuid4()) if role == MERCHANT else None,
        "grace_seconds": 0,
        "created_at": work.now,
        **{field: value for field, value in more.items() if value is not None},
    }
    if role == MERCHANT:
        require_payee(values["pix_key"], values["name"], values["city"])
    work.accounts.insert(values)
    account = work.accounts.by_login(login)
    audit.record(work, account, AuditAction.ACCOUNT_CREATED, login, {"role": role})
    return account


def require_payee(pix_key: str, name: str, city: str) -> None:
    """Raise InvalidRequest for a name or city that no BR Code can hold: each payment would fail."""
    try:
        br_code.encode_static(pix_key, name, city)
    except BrCodeError as error:
        field = "city" if error.code.startswith("city") else "name"
        raise InvalidRequest(
            [FieldError(field, "must hold letters or digits that a Pix code can write")]
        ) from None


def change_password(caller: Caller, current: str, fresh: str) -> int:
    """Set another password and end every other sign-in, in every process; gives how many ended.

    In a unit of work of its own. Raises Forbidden for an API key, InvalidRequest for a wrong
    password, and TooManyRequests.
    """
    if caller.scopes is not None:
        raise Forbidden("A password is changed by whoever signed in, not by an API key.")
    account = caller.account
    if fresh in (account.login, current):
        raise InvalidRequest([FieldError("new_password", "must not be the login or the old one")])
    attempt = throttle.admit(account.login)
    if sign_ins.checked(account.login, current) is None:
        attempt.failed()
        in_unit_of_work(
            lambda work: audit.record(work, account, AuditAction.PASSWORD_REFUSED, account.login)
        )
        raise InvalidRequest([FieldError("current_password", "is not the present password")])
    attempt.succeeded()
    known, fresh_hash = account.password_hash, passwords.hashed(fresh)
    return in_unit_of_work(
        lambda work: set_password(work, account, known, fresh_hash, caller.sign_in_id)
    )


def set_password(
    work: Work, account: Account, known: str | None, fresh_hash: str, but: str | None = None
) -> int:
    """Replace the password and end the account's sign-ins, but the one named.

    Raises Unauthorized where the password is not the known one any more.
    """
    if not work.accounts.replace_password(account.id, known, fresh_hash):
        raise Unauthorized("The password was changed in this very moment: sign in again.")
    audit.record(work, account, AuditAction.PASSWORD_CHANGED, account.login)
    return sign_ins.end_others(work, account, sign_ins.PASSWORD_CHANGED, but)


def disable(work: Work, account: Account, by: Account | None = None) -> bool:
    """Refuse every credential of the account from now on, in every process; whether it was in use.

    `by` is the administrator who asks, None the operator at the terminal. Raises Conflict where
    that is the account itself: whoever is left must be able to let others in again.
    """
    if by is not None and by.id == account.id:
        raise Conflict("An administrator cannot disable the account that is signed in.")
    if not work.accounts.set_disabled(account.id, work.now):
        return False
    audit.record(work, by or account, AuditAction.ACCOUNT_DISABLED, account.login)
    sign_ins.end_others(work, account, sign_ins.ENDED_BY_OPERATOR, None)
    return True


def enable(work: Work, account: Account, by: Account | None = None) -> bool:
    """Let a disabled account in again: its keys work, its sessions stay ended; whether it was."""
    if not work.accounts.set_disabled(account.id, None):
        return False
    audit.record(work, by or account, AuditAction.ACCOUNT_ENABLED, account.login)
    return True


def make_key(
    work: Work, account: Account, label: str, scopes: Sequence[str], key: str | None = None
) -> tuple[ApiKey, str]:
    """A new key of the account's, and the key itself, which is kept nowhere.

    Raises Conflict where the account has as many as it may.
    """
    in_use = [
        one for one in work.accounts.keys_of(account.id, None, 500).items if not one.revoked_at
    ]
    if len(in_use) >= KEYS_MAX:
        raise Conflict(f"An account has at most {KEYS_MAX} keys in use: revoke one first.")
    key, public_id = key or new_api_key(live=is_live()), new_public_id()
    work.accounts.insert_key(
        {
            "public_id": public_id,
            "account_id": account.id,
            "key_sha256": key_hash(key),
            "prefix": shown_prefix(key),
            "scopes": " ".join(scopes),
            "label": label,
            "created_at": work.now,
        }
    )
    audit.record(
        work, account, AuditAction.KEY_CREATED, public_id, {"label": label, "scopes": [*scopes]}
    )
    made = work.accounts.find_key(account.id, public_id)
    if made is None:
        raise NotFound
    return made, key


def revoke_key(work: Work, account: Account, public_id: str) -> None:
    """End a key of the account's, in every process at once; again is no error. Raises NotFound."""
    key = work.accounts.find_key(account.id, public_id)
    if key is None:
        raise NotFound("There is no such key.")
    if work.accounts.revoke_key(key.id, work.now):
        audit.record(work, account, AuditAction.KEY_REVOKED, public_id, {"label": key.label})
