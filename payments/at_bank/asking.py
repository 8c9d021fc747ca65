"""Ask a real bank about one charge while a shopper waits."""

from __future__ import annotations

import structlog

from config import current_parts
from payments.at_bank import lists
from payments.at_bank.booking import Way
from payments.at_bank.visiting import LOOK_UPS
from providers.accounts import provider_of

log = structlog.get_logger()

WAIT_SECONDS = 6.0
"""How long the shopper waits; the question itself goes on, and books what it learns."""


def ask(account_id: int, txid: str) -> bool | None:
    """Ask about the charge and book its money; True if the bank answered in time.

    None if it was asked less than 5 s ago, also by the job. Must not be called inside a unit of
    work.
    """
    if not LOOK_UPS.allow(txid):
        return None

    def look_up() -> None:
        bank_charge = provider_of(account_id).find_charge(txid)
        if bank_charge is not None:
            lists.book_charge(account_id, bank_charge, Way.SHOPPER)

    call = current_parts().charge_calls.begin(account_id, f"ask {txid}", look_up)
    if call is None or not call.wait(WAIT_SECONDS):
        return False
    if call.error is not None:
        log.info("provider.look_up_failed", payment=txid, error=type(call.error).__name__)
    return call.error is None
