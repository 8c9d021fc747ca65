"""Queries of the portal beside the list of payments: sums over time spans, and one payment.

Every query is bounded by a day or a payment. Its cost does not grow with the merchant's sales
(measured in docs/decisions/0023-portal-queries.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, case, func, literal, select, union_all
from sqlalchemy.orm import Session

from db_models import Logo, Payment, PaymentEvent, PaymentStatus, Receipt
from repository.payment_list import NEWEST_FIRST

EVENTS_MAX, RECEIPTS_MAX = 100, 50
"""Limits of one payment's timeline."""

Span = tuple[datetime, datetime]
"""An inclusive start and an exclusive end."""


@dataclass(frozen=True)
class Takings:
    """Money of a span: the number of payments, their sum and what was refunded since."""

    count: int = 0
    centavos: int = 0
    refunded_centavos: int = 0

    def plus(self, other: Takings) -> Takings:
        """The sum of both."""
        return Takings(
            self.count + other.count,
            self.centavos + other.centavos,
            self.refunded_centavos + other.refunded_centavos,
        )


class PortalQueries:
    """Queries on a merchant's payments, each by an index."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def takings(self, merchant_id: int, spans: Sequence[Span]) -> list[Takings]:
        """The takings of each span, in the order of the spans; runs one statement."""
        sums = [
            select(
                literal(number).label("number"),
                func.count(),
                func.coalesce(func.sum(Payment.amount_centavos), 0),
                func.coalesce(func.sum(Payment.refunded_centavos), 0),
            ).where(
                Payment.merchant_id == merchant_id,
                Payment.status == PaymentStatus.CONFIRMED,
                Payment.resolved_at >= start,
                Payment.resolved_at < end,
            )
            for number, (start, end) in enumerate(spans)
        ]
        return self._in_order(sums)

    def takings_without_payment(self, merchant_id: int, spans: Sequence[Span]) -> list[Takings]:
        """The money without a payment that arrived in each span; runs one statement.

        Unlike the takings of past days it changes: a merchant may attach such money later.
        """
        sums = [
            select(
                literal(number).label("number"),
                func.count(),
                func.coalesce(func.sum(Receipt.amount_centavos), 0),
            ).where(
                Receipt.merchant_id == merchant_id,
                Receipt.payment_id.is_(None),
                Receipt.told_at >= start,
                Receipt.told_at < end,
            )
            for number, (start, end) in enumerate(spans)
        ]
        return self._in_order(sums)

    def _in_order(self, sums: Sequence[Select[*tuple[int, ...]]]) -> list[Takings]:
        """The takings of each query; a row is the query's number, and the fields of Takings."""
        if not sums:
            return []
        rows = self._session.execute(union_all(*sums) if len(sums) > 1 else sums[0]).all()
        takings = {int(number): Takings(*map(int, figures)) for number, *figures in rows}
        return [takings[number] for number in range(len(sums))]

    def created(self, merchant_id: int, span: Span) -> tuple[int, int, bool, bool]:
        """How many payments were created in the span, and how many of those are paid by now.

        Also whether the merchant has money without a payment, and whether any payment was ever
        paid: each reads one row of an index, and needs no further statement.
        """
        start, end = span
        is_paid = case((Payment.status == PaymentStatus.CONFIRMED, 1), else_=0)
        has_free_money = (
            select(Receipt.id)
            .where(Receipt.merchant_id == merchant_id, Receipt.payment_id.is_(None))
            .exists()
        )
        # Not an EXISTS: PostgreSQL would read the table for it instead of the index.
        first_paid_at = select(func.min(Payment.resolved_at)).where(
            Payment.merchant_id == merchant_id, Payment.status == PaymentStatus.CONFIRMED
        )
        number, paid, has_free, paid_at = self._session.execute(
            select(
                func.count(),
                func.coalesce(func.sum(is_paid), 0),
                select(has_free_money).scalar_subquery(),
                first_paid_at.scalar_subquery(),
            ).where(
                Payment.merchant_id == merchant_id,
                Payment.status.in_(list(PaymentStatus)),
                Payment.created_at >= start,
                Payment.created_at < end,
            )
        ).one()
        return int(number), int(paid), bool(has_free), paid_at is not None

    def paid_lately(
        self, merchant_id: int, since: datetime, limit: int
    ) -> list[tuple[datetime, timedelta]]:
        """When the newest confirmed payments were paid, and how long after their creation."""
        rows = self._session.execute(
            select(Payment.resolved_at, Payment.created_at)
            .where(
                Payment.merchant_id == merchant_id,
                Payment.status == PaymentStatus.CONFIRMED,
                Payment.resolved_at >= since,
                # A payment that was made of money without a payment took no time to be paid.
                Payment.resolved_at > Payment.created_at,
            )
            .order_by(Payment.resolved_at.desc())
            .limit(limit)
        ).all()
        return [
            (paid_at, paid_at - created_at) for paid_at, created_at in rows if paid_at is not None
        ]

    def by_txids(self, merchant_id: int, txids: Sequence[str]) -> Sequence[Payment]:
        """The merchant's payments among these, newest first."""
        query = select(Payment).where(Payment.txid.in_(txids), Payment.merchant_id == merchant_id)
        return self._session.scalars(query.order_by(*NEWEST_FIRST.order())).all()

    def events_of(self, payment_id: int) -> Sequence[PaymentEvent]:
        """The first EVENTS_MAX events of a payment, in order."""
        query = select(PaymentEvent).where(PaymentEvent.payment_id == payment_id)
        return self._session.scalars(query.order_by(PaymentEvent.id).limit(EVENTS_MAX)).all()

    def receipts_of(self, payment_id: int) -> Sequence[Receipt]:
        """The first RECEIPTS_MAX receipts of a payment, accepted and refused, in order."""
        query = select(Receipt).where(Receipt.payment_id == payment_id)
        return self._session.scalars(query.order_by(Receipt.id).limit(RECEIPTS_MAX)).all()

    def renewal_of(self, payment_id: int) -> str | None:
        """The txid of the payment that renewed this one, if any."""
        return self._session.scalars(
            select(Payment.txid).where(Payment.renewed_from_id == payment_id)
        ).one_or_none()

    def txid_of(self, payment_id: int) -> str | None:
        """The txid of a payment by its row id."""
        return self._session.scalars(
            select(Payment.txid).where(Payment.id == payment_id)
        ).one_or_none()

    def logo(self, public_id: str) -> bytes | None:
        """A logo's picture (PNG), or None."""
        return self._session.scalars(
            select(Logo.png).where(Logo.public_id == public_id)
        ).one_or_none()

    def replace_logo(
        self, account_id: int, public_id: str | None, png: bytes, now: datetime
    ) -> None:
        """Replace the account's logo; if `public_id` is None, only delete the old one."""
        table = Logo.__table__
        self._session.execute(table.delete().where(table.c.account_id == account_id))
        if public_id is not None:
            row = {"public_id": public_id, "account_id": account_id, "png": png, "created_at": now}
            self._session.execute(table.insert().values(**row))
