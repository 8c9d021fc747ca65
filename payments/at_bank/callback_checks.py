"""Look whether an account's callbacks come."""

from __future__ import annotations

from datetime import timedelta

import structlog

from db_models import ProviderAccount
from repository.database import in_unit_of_work, reading

log = structlog.get_logger()

NONE_CAME = "none-came"
"""The code of `ProviderAccount.callback_fault`."""
LATE = timedelta(minutes=10)
"""Money that was booked longer ago than this should have had its callback."""
WITHOUT_CALLBACK = 3
"""This many Pix of charges without one callback mean that none comes."""


def check(account: ProviderAccount) -> None:
    """Note if no callback came for several payments. Call it outside of a unit of work."""
    fault = account.callback_fault
    if fault is None and _none_came(account):
        log.warning("provider.no-callback-came", account=account.id)
        in_unit_of_work(
            lambda work: work.provider_accounts.change(account.id, {"callback_fault": NONE_CAME})
        )


def _none_came(account: ProviderAccount) -> bool:
    """Whether several Pix were booked since the last callback, each long enough ago."""
    since = account.callback_came_at or account.created_at
    with reading() as work:
        until = work.now - LATE
        number = work.provider_money.charge_receipts_since(account.id, since, until)
    return number >= WITHOUT_CALLBACK
