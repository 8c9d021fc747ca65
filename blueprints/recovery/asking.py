"""Ask the bank about the payment that a text or picture names."""

from __future__ import annotations

from db_models import PaymentStatus
from payments import look_ups, traces


def ask_bank(txid: str, status: PaymentStatus) -> bool:
    """Ask the bank for the payment's money and settle the payment, as *Já paguei* does.

    Asks at most once in 5 s per payment; returns whether the bank answered. Call outside a unit of
    work.
    """
    if status not in (PaymentStatus.PENDING, PaymentStatus.EXPIRED):
        return False
    if not look_ups.ask_about(txid):
        return False
    traces.record_look_up(txid)
    return True
