"""What the portal reads beside the list of payments: sums over spans of time, and one payment.

Every query is bounded by the day or the payment it is about. None grows with how much a merchant
has sold (measured in docs/decisions/0023-portal-queries.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, literal, select, union_all
from sqlalchemy.orm import Session

from db_models import Logo, Payment, PaymentEvent, PaymentStatus, Receipt
from repository.payment_list import NEWEST_FIRST

EVENTS_MAX, RECEIPTS_MAX = 100, 50
"""Of one payment's timeline."""

Span = tuple[datetime, datetime]
"""A start, and an end that no longer belongs to it."""


@dataclass(frozen=True)
class Takings:
    """What was confirmed in a span: how many, how much, and how much of it went back since."""

    count: int = 0
    centavos: int = 0
    refunded_centavos: int = 0


class PortalQueries:
    """Queries on a merchant's payments, each by an index."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def takings(self, merchant_id: int, spans: Sequence[Span]) -> list[Takings]:
        """What was confirmed in each span, in their order, by one statement."""
        if not spans:
            return []
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
        rows = self._session.execute(union_all(*sums) if len(sums) > 1 else sums[0]).all()
        found = {int(number): Takings(int(n), int(c), int(r)) for number, n, c, r in rows}
        return [found[number] for number in range(len(spans))]

    def created(self, merchant_id: int, span: Span) -> tuple[int, int]:
        """How many payments were made in the span, and how many of those are paid by now."""
        start, end = span
        rows = self._session.execute(
            select(Payment.status, func.count())
            .where(
                Payment.merchant_id == merchant_id,
                Payment.status.in_(list(PaymentStatus)),
                Payment.created_at >= start,
                Payment.created_at < end,
            )
            .group_by(Payment.status)
        ).all()
        counts: dict[str, int] = {status: int(number) for status, number in rows}
        return sum(counts.values()), counts.get(PaymentStatus.CONFIRMED, 0)

    def paid_lately(
        self, merchant_id: int, since: datetime, limit: int
    ) -> list[tuple[datetime, timedelta]]:
        """When the newest confirmed payments were paid, and how long after they were made."""
        rows = self._session.execute(
            select(Payment.resolved_at, Payment.created_at)
            .where(
                Payment.merchant_id == merchant_id,
                Payment.status == PaymentStatus.CONFIRMED,
                Payment.resolved_at >= since,
            )
            .order_by(Payment.resolved_at.desc())
            .limit(limit)
        ).all()
        return [(paid, paid - made) for paid, made in rows if paid is not None]

    def by_txids(self, merchant_id: int, txids: Sequence[str]) -> Sequence[Payment]:
        """Those of these payments that are the merchant's, newest first."""
        mine = select(Payment).where(Payment.txid.in_(txids), Payment.merchant_id == merchant_id)
        return self._session.scalars(mine.order_by(*NEWEST_FIRST.order())).all()

    def events_of(self, payment_id: int) -> Sequence[PaymentEvent]:
        """What happened to a payment, in order."""
        found = select(PaymentEvent).where(PaymentEvent.payment_id == payment_id)
        return self._session.scalars(found.order_by(PaymentEvent.id).limit(EVENTS_MAX)).all()

    def receipts_of(self, payment_id: int) -> Sequence[Receipt]:
        """What banks told about a payment, in order: the accepted one, and refused ones."""
        found = select(Receipt).where(Receipt.payment_id == payment_id)
        return self._session.scalars(found.order_by(Receipt.id).limit(RECEIPTS_MAX)).all()

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
        """Put a picture in the place of the account's logo; None only takes the old one away."""
        table = Logo.__table__
        self._session.execute(table.delete().where(table.c.account_id == account_id))
        if public_id is not None:
            row = {"public_id": public_id, "account_id": account_id, "png": png, "created_at": now}
            self._session.execute(table.insert().values(**row))
