"""What was done about a payment, for its merchant: by shoppers on its page, and by asking the bank.

The page tells of itself after it is shown.
"""

from __future__ import annotations

from contextlib import suppress

from core.errors import BalcaoError, PaymentNotFound
from db_models import TraceKind
from repository.database import LostRace, in_unit_of_work, reading
from repository.traces import APART, TIMES_MAX, Traces


def note(txid: str, kind: TraceKind, *, unless_by: int | None = None) -> None:
    """Keep that this was done to the payment; what comes again within seconds writes nothing.

    `unless_by` is the row id of whoever asks: a merchant that looks at its own page is no shopper.
    Raises PaymentNotFound. Must not be called inside a unit of work.
    """
    with reading() as work:
        standing = Traces(work.session).find(txid, kind)
        moment = work.now
    if standing is None:
        raise PaymentNotFound
    payment_id, merchant_id, times, last_at = standing
    if merchant_id == unless_by or times >= TIMES_MAX:
        return
    if last_at is None:
        try:
            in_unit_of_work(
                lambda work: Traces(work.session).insert(payment_id, kind, work.now), attempts=1
            )
        except LostRace:
            return  # another tab was first, and that is all there is to know
    elif moment - last_at >= APART:
        in_unit_of_work(lambda work: Traces(work.session).count_again(payment_id, kind, work.now))


def note_asked(txid: str) -> None:
    """Keep that the bank was asked; where that cannot be kept it is nobody's failure."""
    with suppress(BalcaoError):
        note(txid, TraceKind.ASKED)
