"""Look whether an account's callbacks can come, and whether they do."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from db_models import ProviderAccount
from providers import callbacks
from providers.callbacks import NONE_CAME
from providers.port import AccountRefusal, ProviderRefusal
from repository.database import in_unit_of_work, now, reading

log = structlog.get_logger()

INTERVAL = timedelta(days=1)
"""How often the registered address is read back."""
LATE = timedelta(minutes=10)
"""Money that was booked longer ago than this should have had its callback."""
WITHOUT_CALLBACK = 3
"""This many Pix of charges without one callback mean that none comes."""


def is_check_due(account: ProviderAccount, moment: datetime) -> bool:
    """Whether the registered address should be read back."""
    checked_at = account.callback_checked_at
    return checked_at is None or abs(moment - checked_at) >= INTERVAL


def check(account: ProviderAccount) -> None:
    """Read the address back if that is due, and note if no callback came for several payments.

    Call it outside of a unit of work. Raises ProviderAway and AccountRefusal.
    """
    fault = account.callback_fault
    if is_check_due(account, now()):
        fault = _read_back(account)
    if fault is None and _none_came(account):
        log.warning("provider.no_callback_came", account=account.id)
        in_unit_of_work(
            lambda work: work.provider_accounts.change(account.id, {"callback_fault": NONE_CAME})
        )


def _read_back(account: ProviderAccount) -> str | None:
    """The fault of the registered address; a bank that cannot say it leaves the earlier one."""
    try:
        return callbacks.read_back(account)
    except AccountRefusal:
        raise
    except ProviderRefusal as refusal:
        log.info("provider.callback_not_read", account=account.id, code=refusal.code)
    values = {"callback_checked_at": now()}
    in_unit_of_work(lambda work: work.provider_accounts.change(account.id, values))
    return account.callback_fault


def _none_came(account: ProviderAccount) -> bool:
    """Whether several Pix were booked since the last callback, each long enough ago."""
    since, until = account.callback_came_at or account.created_at, now() - LATE
    if until <= since:
        return False
    with reading() as work:
        number = work.provider_money.charge_receipts(account, since, until, WITHOUT_CALLBACK)
    return number >= WITHOUT_CALLBACK
