"""What `flask provider audit --repair` brings in from a bank, for example after a restore."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from config import current_parts
from core.errors import BalcaoError
from db_models import ProviderAccount, ProviderCharge
from payments.at_bank import booking, opening, returns
from payments.at_bank.booking import Way
from payments.at_bank.limit_waits import patiently
from providers.port import BankMoney, Provider, ProviderAway, ProviderRefusal
from repository.bank_leases import BankLease
from repository.database import in_unit_of_work

log = structlog.get_logger()


@dataclass
class Repairs:
    """How much was repaired."""

    money: int = 0
    charges: int = 0


def book_unknown(
    repaired: Repairs, account: ProviderAccount, provider: Provider, money: BankMoney
) -> None:
    """Book a Pix that is not stored, as the jobs do: it never settles what it does not fit.

    Its charge is asked first, because it tells since when it could be paid.
    """
    txid = money.txid
    bank_charge = None if txid is None else patiently(lambda: provider.find_charge(txid))
    if bank_charge is not None and any(
        one.end_to_end_id == money.end_to_end_id for one in bank_charge.money
    ):
        booking.book_held(account.id, bank_charge, Way.WINDOW)
    else:
        created_at = None if bank_charge is None else bank_charge.created_at
        booking.book(account.id, money, Way.WINDOW, created_at)
    repaired.money += 1
    returns.book_returns(account.id, money)


def finish_charge(repaired: Repairs, charge: ProviderCharge) -> None:
    """Store the bank's answer to a charge that was opened, unless a process works on it."""
    is_ours = in_unit_of_work(
        lambda work: work.provider_charges.acquire_early(charge.id, charge.attempts, work.now)
    )
    if not is_ours:
        return
    lease = BankLease(charge.attempts + 1, charge.account_id, charge.txid)
    try:
        with current_parts().charge_calls.leases.holding(lease):
            is_stored = opening.open_at_bank(charge.txid, lease.attempts)
    except (ProviderAway, ProviderRefusal, BalcaoError) as error:
        log.info("provider.repair_failed", txid=charge.txid, error=type(error).__name__)
        return
    repaired.charges += is_stored
