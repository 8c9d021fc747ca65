"""Traces of shoppers on payment pages: at most one row per payment and kind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, insert, select, update

from db_models import Payment, PaymentTrace
from repository.connections import Unit
from repository.statements import QuickStatement

TIMES_MAX = 9_999
APART = timedelta(seconds=10)
"""A trace that follows sooner belongs to the same visit, so a reloaded page writes nothing."""


class Traces:
    """Queries on payment_traces."""

    def __init__(self, unit: Unit) -> None:
        """Use the connection of the unit of work; each page view runs these without a session."""
        self._unit = unit

    def find(self, txid: str, kind: str) -> tuple[int, int, int, datetime | None] | None:
        """The row ids of payment and merchant, the number of traces and the time of the last.

        None if there is no such payment.
        """
        row = _FIND.row(self._unit.connection, {"txid": txid, "kind": kind})
        return None if row is None else (row[0], row[1], row[2] or 0, row[3])

    def insert(self, payment_id: int, kind: str, now: datetime) -> None:
        """Store the first trace of its kind; a unique index refuses a second row."""
        row = {"payment_id": payment_id, "kind": kind, "first_at": now, "last_at": now, "times": 1}
        _INSERT.insert(self._unit.connection, row)

    def count_again(self, payment_id: int, kind: str, now: datetime) -> None:
        """Add one to the count, at most once in APART and up to TIMES_MAX."""
        key = {"payment": payment_id, "of_kind": kind, "before": now - APART, "now": now}
        _COUNT_AGAIN.change(self._unit.connection, key)

    def of_payment(self, payment_id: int) -> Sequence[PaymentTrace]:
        """The payment's traces: at most one of each kind."""
        query = select(PaymentTrace).where(PaymentTrace.payment_id == payment_id)
        return self._unit.session.scalars(query).all()


_TABLE = PaymentTrace.__table__
_PAYMENT = Payment.__table__
# Built once: building a statement costs more than executing it.
_FIND = QuickStatement(
    select(_PAYMENT.c.id, _PAYMENT.c.merchant_id, _TABLE.c.times, _TABLE.c.last_at)
    .select_from(
        _PAYMENT.outerjoin(
            _TABLE,
            and_(_TABLE.c.payment_id == _PAYMENT.c.id, _TABLE.c.kind == bindparam("kind")),
        )
    )
    .where(_PAYMENT.c.txid == bindparam("txid"))
)
_INSERT = QuickStatement(insert(_TABLE))
_COUNT_AGAIN = QuickStatement(
    update(_TABLE)
    .where(
        _TABLE.c.payment_id == bindparam("payment"),
        _TABLE.c.kind == bindparam("of_kind"),
        _TABLE.c.last_at <= bindparam("before"),
        _TABLE.c.times < TIMES_MAX,
    )
    .values(times=_TABLE.c.times + 1, last_at=bindparam("now"))
)
