"""The job that goes on with charges at banks: after a crash, a time-out, or the end of a payment.

A run only acquires leases and puts the calls into the queues of their accounts, so a bank that is
away delays neither the run nor the charges of other accounts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from config import current_parts
from core.errors import ConcurrentUpdate
from db_models import ProviderCharge, ProviderChargeStatus
from payments.at_bank.calls import AT_ONCE
from payments.at_bank.closing import close_at_bank
from payments.at_bank.opening import open_at_bank
from repository.bank_leases import BankLease
from repository.database import in_unit_of_work, reading


def run(keep_going: Callable[[], bool] = lambda: True) -> int:
    """Begin the calls that are due and have room; return how many."""
    begun = 0
    with reading() as work:
        accounts = work.provider_charges.accounts_due(work.now)
    for account_id in accounts:
        if not keep_going():
            break
        begun += _run_account(account_id)
    return begun


def _run_account(account_id: int) -> int:
    """Begin calls of one account; half of its places are left to requests."""
    calls = current_parts().charge_calls
    room = calls.room_of(account_id) - AT_ONCE // 2
    if calls.left_alone(account_id) is not None:
        room = min(room, 1)  # any further call would not be sent, and would cost two transactions
    if room <= 0:
        return 0
    with reading() as work:
        charges = work.provider_charges.due(account_id, work.now, room)
    begun = 0
    for charge in charges:
        try:
            is_ours = _acquire(charge.id)
        except ConcurrentUpdate:
            continue
        if is_ours and _begin(charge):
            begun += 1
    return begun


def _acquire(row: int) -> bool:
    return in_unit_of_work(lambda work: work.provider_charges.acquire(row, work.now))


def _begin(charge: ProviderCharge) -> bool:
    do = open_at_bank if charge.status == ProviderChargeStatus.OPENING else close_at_bank
    lease = BankLease(charge.attempts + 1, charge.account_id, charge.txid)
    call = partial(do, charge.txid, lease.attempts)
    calls = current_parts().charge_calls
    return calls.begin(charge.account_id, charge.txid, call, lease) is not None
