"""Send refunds to real banks again, when the first try has not settled them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import structlog

from config import current_parts
from core.errors import BalcaoError, DatabaseUnavailable
from payments.refunds import BATCH, UNANSWERED_MAX, send_order
from providers.port import ProviderAway
from repository.bank_leases import LEASE, BankLease
from repository.database import Work, in_unit_of_work, reading

log = structlog.get_logger()


def run_at_bank(account_id: int, keep_going: Callable[[], bool] = lambda: True) -> int:
    """Send the due refunds of one account at a real bank; returns how many were settled.

    Each refund is leased to one process. Raises ProviderAway if the bank seems to be away.
    """
    with reading() as work:
        due_rows = work.refunds.ids_due(work.now, BATCH, account_id)
    settled = unanswered = 0
    leases = current_parts().charge_calls.leases
    for row in due_rows:
        if not keep_going():
            break
        attempts = in_unit_of_work(partial(_acquire, row))
        if attempts is None:
            continue
        try:
            with leases.holding(BankLease(attempts, refund_row=row)):
                settled += send_order(row, attempts)
            unanswered = 0
        except ProviderAway:
            unanswered += 1
            if unanswered >= UNANSWERED_MAX:
                raise
        except DatabaseUnavailable:
            raise
        except BalcaoError as error:
            log.warning("refunds.postponed", refund=row, code=error.code)
    return settled


def _acquire(row: int, work: Work) -> int | None:
    """Acquire the lease of a refund, which is its `attempts`; None if another process has it."""
    if not work.refunds.acquire(row, work.now, work.now + LEASE):
        return None
    return work.refunds.with_payment(row)[0].attempts  # the update has locked the row
