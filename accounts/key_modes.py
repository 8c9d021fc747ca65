"""Whose keys a request means: those of the merchant, or those of its test half.

A test key has no access to the merchant. The merchant's session and its live keys have access to
both.
"""

from __future__ import annotations

from accounts import halves
from accounts.access import Caller
from core.errors import Forbidden
from db_models import Account
from repository.database import Work


def keys_owner(work: Work, caller: Caller, livemode: bool | None) -> Account | None:
    """The account whose keys the caller means; None for a test half that does not exist yet.

    `livemode` of None means the caller's own mode. Raises Forbidden if a test key asks for live
    keys, and if anybody does in development.
    """
    account = caller.account
    is_live = halves.is_live(account)
    if livemode is None or livemode is is_live:
        return account
    if not livemode:
        return work.accounts.find_test_half(account.id)
    if not account.is_test_half:
        raise Forbidden("There are no live keys in development: all money is simulated.")
    if caller.owner.is_test_half:
        raise Forbidden("A test key has no access to live keys: use the session or a live key.")
    return caller.owner


def ensure_keys_owner(work: Work, caller: Caller, livemode: bool | None) -> Account:
    """As `keys_owner`, but makes the test half if it does not exist yet."""
    return keys_owner(work, caller, livemode) or halves.ensure_test_half(work, caller.account)
