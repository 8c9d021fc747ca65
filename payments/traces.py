"""Traces show a merchant what happened to a payment: page views, copied codes, bank look-ups."""

from __future__ import annotations

from contextlib import suppress

from core.errors import BalcaoError, ConcurrentUpdate, PaymentNotFound
from db_models import TraceKind
from repository.database import in_unit_of_work, reading
from repository.traces import APART, TIMES_MAX, Traces


def record(txid: str, kind: TraceKind, *, unless_by: int | None = None) -> None:
    """Count that this happened to the payment; a repetition within seconds is not counted.

    `unless_by` is the row id of the signed-in account: a merchant's visit to its own page is not
    counted. Raises PaymentNotFound. Must not be called inside a unit of work.
    """
    with reading() as work:
        trace = Traces(work).find(txid, kind)
        moment = work.now
    if trace is None:
        raise PaymentNotFound
    payment_id, merchant_id, times, last_at = trace
    if merchant_id == unless_by or times >= TIMES_MAX:
        return
    if last_at is None:
        try:
            in_unit_of_work(
                lambda work: Traces(work).insert(payment_id, kind, work.now), attempts=1
            )
        except ConcurrentUpdate:
            return  # Another tab has counted this moment, perhaps at another node of the database.
    elif moment - last_at >= APART:
        in_unit_of_work(lambda work: Traces(work).count_again(payment_id, kind, work.now))


def record_look_up(txid: str) -> None:
    """Count a look-up at the bank. A trace that cannot be stored must not fail the look-up."""
    with suppress(BalcaoError):
        record(txid, TraceKind.ASKED)
