"""A merchant's test half: a second account of the merchant, whose money is never real.

Everything that belongs to an account is apart by that alone: payments, keys, lists, figures,
webhooks, callbacks, accounts at banks. What describes the shop is shared (docs/decisions/0080).
In development all money is simulated, so nobody has a test half there.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict

from accounts import audit
from config import current_settings
from core.errors import Forbidden
from core.ids import new_public_id
from db_models import Account, AuditAction
from db_models.account import MERCHANT
from repository.accounts import SHARED_COLUMNS
from repository.database import Work, open_work, reading

_HALVES_MAX = 10_000


def is_live(account: Account) -> bool:
    """Whether the account's money is real, unless an account at a bank says otherwise."""
    return current_settings().is_live and not account.is_test_half


def ensure_test_half(work: Work, merchant: Account) -> Account:
    """The merchant's test half, which is made at its first use; a test half is its own.

    It receives by a Pix key of its own, and nobody can sign in to it. Raises LostRace if another
    transaction makes it meanwhile, ConcurrentUpdate if the merchant changes at another node of a
    Galera cluster, Forbidden for another role, and RuntimeError in development.
    """
    if merchant.is_test_half:
        return merchant
    if merchant.role != MERCHANT:
        raise Forbidden(
            f"Only merchants have a test half; this account is of role {merchant.role}."
        )
    if not current_settings().is_live:
        raise RuntimeError("in development no account has a test half")
    half = work.accounts.find_test_half(merchant.id)
    if half is not None:
        return half
    # A change of the merchant that is not committed yet would miss the half: wait for it.
    latest = work.accounts.lock(merchant.id) or merchant
    work.accounts.change_and_restore(merchant.id)
    public_id = new_public_id()
    shared = {name: getattr(latest, name) for name in SHARED_COLUMNS}
    work.accounts.insert(
        {
            **shared,
            "public_id": public_id,
            "login": f"test-{public_id}",
            "role": MERCHANT,
            "test_of_id": merchant.id,
            "pix_key": str(uuid.uuid4()),
            "created_at": work.now,
        }
    )
    audit.record(work, merchant, AuditAction.ACCOUNT_CREATED, merchant.login, {"test_half": True})
    half = work.accounts.find_test_half(merchant.id)
    if half is None:
        raise LookupError("the test half that was just stored is missing")
    return half


def owner_of(work: Work, account: Account) -> Account:
    """The merchant whose half this account is: for a test half its merchant, else the account."""
    if account.test_of_id is None:
        return account
    owner = work.accounts.find(account.test_of_id)
    if owner is None:
        raise LookupError(f"the test half {account.public_id} has no merchant")
    return owner


class KnownHalves:
    """Which merchants are test halves, by row id; each is read once in a process.

    An account never becomes a test half, nor stops being one.
    """

    def __init__(self) -> None:
        """No merchant was read yet."""
        self._halves: OrderedDict[int, bool] = OrderedDict()

    def is_test_half(self, row: int) -> bool:
        """Whether the account with this row id is a test half. Raises LookupError."""
        is_half = self._halves.get(row)
        if is_half is None:
            account = _account(row)
            if account is None:
                raise LookupError(f"there is no account with the row id {row}")
            is_half = self._halves[row] = account.is_test_half
            while len(self._halves) > _HALVES_MAX:
                self._halves.popitem(last=False)
        return is_half


def _account(row: int) -> Account | None:
    outer = open_work()
    if outer is not None:
        return outer.accounts.find(row)
    with reading() as work:
        return work.accounts.find(row)
