"""Sign up, change the password, disable and enable accounts, make and revoke API keys."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from accounts import audit, halves, passwords, sign_ins, throttle
from accounts.access import DEMO_LOGIN, Caller
from accounts.keys import key_hash, new_api_key, shown_prefix
from accounts.schemas import NewUser
from config import current_settings
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
from core.merchant_errors import ShopNameTaken
from core.pix import br_code
from core.pix.br_code import BrCodeError
from core.typed import caseless, name_key
from db_models import Account, ApiKey, AuditAction
from db_models.account import MERCHANT
from repository.database import LostRace, Work, in_unit_of_work

DEFAULT_CITY = "São Paulo"
"""The city of a merchant who has set none: every BR Code needs a city."""

NO_PAYERS = "must be merchant: payers pay in their bank's app and need no account here"

KEYS_MAX = 50
"""How many keys in use one account may have."""


def sign_up(body: NewUser, also: Callable[[Work, Account], object] | None = None) -> Account:
    """Create an account and commit; a merchant can receive at once.

    `also` runs in the same unit of work. Raises InvalidRequest for a name that no BR Code can hold
    and, in production, for a payer, whose pages exist only with the simulated bank; LoginTaken, and
    ShopNameTaken.
    """
    if body.role != MERCHANT and not current_settings().is_development:
        raise InvalidRequest([FieldError("role", NO_PAYERS)])
    if caseless(body.password) == caseless(body.username):
        raise InvalidRequest([FieldError("password", "must not be the username")])
    password_hash = passwords.hash_password(body.password)

    def make(work: Work) -> Account:
        account = create(
            work,
            login=body.username,
            password_hash=password_hash,
            role=body.role,
            name=body.name,
            email=body.email,
        )
        if account.name_key and work.accounts.is_shop_name_taken(account.name_key, account.id):
            raise ShopNameTaken  # which undoes the account
        if also is not None:
            also(work, account)
        return account

    try:
        # After a lost race, the second attempt says whether the login or the name is taken.
        return in_unit_of_work(make, attempts=2)
    except LostRace:
        raise LoginTaken(f"The login {caseless(body.username)} is taken.") from None


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
    """Create an account; a merchant gets a city, and in development a random Pix key.

    Login and e-mail are stored in their one spelling (`core.typed.caseless`).

    In production a merchant enters its key later: money must never go to an invented one.

    Raises LoginTaken, LostRace if another request took the login or the name meanwhile, and
    InvalidRequest for a name or city that no BR Code can hold.
    """
    shown_name = name or login
    key = name_key(shown_name) if role == MERCHANT else None
    login = caseless(login)
    is_reserved = login == DEMO_LOGIN and not is_demo
    if is_reserved or work.accounts.find_by_login(login) is not None:
        raise LoginTaken(f"The login {login} is taken.")
    values = {
        "public_id": new_public_id(),
        "login": login,
        "login_key": login,
        "role": role,
        "password_hash": password_hash,
        "email": caseless(email) if email else None,
        "name": shown_name,
        "name_key": key,
        "held_name_key": None if key is None or work.accounts.is_shop_name_taken(key) else key,
        "city": DEFAULT_CITY,
        "pix_key": _new_pix_key() if role == MERCHANT else None,
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


def rename(work: Work, merchant: Account, name: str) -> None:
    """Change a merchant's name. Raises ShopNameTaken, and LostRace if another shop was faster.

    Old shops with the same name keep it, until they change it.
    """
    key = name_key(name)
    values = {"name": name, "name_key": key}
    if key != name_key(merchant.name):
        if work.accounts.is_shop_name_taken(key, merchant.id):
            raise ShopNameTaken
        values["held_name_key"] = key
    work.accounts.change(merchant.id, values)


def _new_pix_key() -> str | None:
    return str(uuid.uuid4()) if current_settings().is_development else None


def require_payee(pix_key: str | None, name: str, city: str) -> None:
    """Raise InvalidRequest for a name or city that no BR Code can hold, whatever the key."""
    try:
        br_code.encode_static(pix_key or str(uuid.UUID(int=0)), name, city)
    except BrCodeError as error:
        field = "city" if error.code == "city_invalid" else "name"
        raise InvalidRequest(
            [FieldError(field, "must hold letters or digits that a Pix code can write")]
        ) from None


def change_password(caller: Caller, current: str, new: str) -> int:
    """Set a new password, end every other sign-in and commit; return how many sign-ins ended.

    Raises Forbidden for an API key, InvalidRequest for a wrong password, and TooManyRequests.
    """
    if caller.scopes is not None:
        raise Forbidden("An API key cannot change the password: sign in with the password.")
    account = caller.owner
    if new == current or caseless(new) == caseless(account.login):
        raise InvalidRequest(
            [FieldError("new_password", "must not be the login or the old password")]
        )
    with throttle.attempt_for(account.login) as attempt:
        if sign_ins.check_password(account.login, current) is None:
            attempt.failed()
            in_unit_of_work(
                lambda work: audit.record(
                    work, account, AuditAction.PASSWORD_REFUSED, account.login
                )
            )
            raise InvalidRequest([FieldError("current_password", "is not the present password")])
        attempt.succeeded()
    old_hash, new_hash = account.password_hash, passwords.hash_password(new)
    return in_unit_of_work(
        lambda work: set_password(work, account, old_hash, new_hash, caller.sign_in_id)
    )


def set_password(
    work: Work, account: Account, old_hash: str | None, new_hash: str, but: str | None = None
) -> int:
    """Replace the password and end the account's sign-ins except `but`; return how many ended.

    Raises Unauthorized if the stored hash is no longer `old_hash`, and Conflict for a test half,
    to which nobody may sign in.
    """
    _refuse_test_half(work, account)
    if not work.accounts.replace_password(account.id, old_hash, new_hash):
        raise Unauthorized("The password was just changed elsewhere: sign in again.")
    audit.record(work, account, AuditAction.PASSWORD_CHANGED, account.login)
    return sign_ins.end_others(work, account, sign_ins.PASSWORD_CHANGED, but)


def disable(work: Work, account: Account, by: Account | None = None) -> bool:
    """Refuse every credential of the account at once; False if it was disabled already.

    `by` is the administrator; None is the operator at the terminal. Raises Conflict if
    administrators disable their own account: nobody could enable the last one again; and for a
    test half, which is disabled with its merchant.
    """
    _refuse_test_half(work, account)
    if by is not None and by.id == account.id:
        raise Conflict("Administrators cannot disable their own account.")
    if not work.accounts.set_disabled(account.id, work.now):
        return False
    audit.record(work, by or account, AuditAction.ACCOUNT_DISABLED, account.login)
    sign_ins.end_others(work, account, sign_ins.ENDED_BY_OPERATOR, None)
    return True


def enable(work: Work, account: Account, by: Account | None = None) -> bool:
    """Undo `disable`, except that sessions stay ended; False if the account was not disabled.

    Raises Conflict for a test half.
    """
    _refuse_test_half(work, account)
    if not work.accounts.set_disabled(account.id, None):
        return False
    audit.record(work, by or account, AuditAction.ACCOUNT_ENABLED, account.login)
    return True


def _refuse_test_half(work: Work, account: Account) -> None:
    if account.is_test_half:
        merchant = halves.owner_of(work, account).login
        raise Conflict(f"{account.login} is the test half of {merchant}: use that account.")


def check_grant(caller: Caller, scopes: Sequence[str]) -> None:
    """Raise Forbidden if a key would give a scope that it does not have."""
    if not all(caller.may(scope) for scope in scopes):
        raise Forbidden("A key cannot make another key with scopes that it lacks.")


def make_key(
    work: Work,
    account: Account,
    label: str,
    scopes: Sequence[str],
    *,
    by: Caller | None,
    key: str | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; return its row, and the key itself, which is not stored.

    The key of a test half is a test key. `by` is who asks, the account or its merchant; None is the
    operator at the terminal, which is recorded under the merchant. Raises Forbidden for a scope
    that `by` lacks, and Conflict if the account has KEYS_MAX keys in use.
    """
    if by is not None:
        check_grant(by, scopes)
    in_use = [
        row for row in work.accounts.keys_of(account.id, None, 500).items if not row.revoked_at
    ]
    if len(in_use) >= KEYS_MAX:
        raise Conflict(f"An account has at most {KEYS_MAX} keys in use: revoke one first.")
    livemode = halves.is_live(account)
    key, public_id = key or new_api_key(live=livemode), new_public_id()
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
    author = halves.owner_of(work, account) if by is None else by.account
    details = {"label": label, "scopes": [*scopes], "livemode": livemode}
    audit.record(work, author, AuditAction.KEY_CREATED, public_id, details)
    row = work.accounts.find_key(account.id, public_id)
    if row is None:
        raise NotFound
    return row, key


def revoke_key(work: Work, account: Account, public_id: str) -> None:
    """Revoke a key of the account, or of its test half, at once; safe to repeat.

    Raises NotFound.
    """
    key = work.accounts.find_key(account.id, public_id)
    if key is None:
        raise NotFound("This key does not exist.")
    if work.accounts.revoke_key(key.id, work.now):
        audit.record(work, account, AuditAction.KEY_REVOKED, public_id, {"label": key.label})
