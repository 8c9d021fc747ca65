"""Queries on proofs. A list never reads a picture: that is asked for one by one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from db_models import Payment, PaymentStatus, ProofVerdict, RecoveryUpload
from repository.paging import Keyset, Page

_NEWEST_FIRST = Keyset(RecoveryUpload.id, cursor=RecoveryUpload.public_id)


class RecoveryUploads:
    """Queries on proofs."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def of_payment(self, payment_id: int) -> Sequence[RecoveryUpload]:
        """A payment's proofs, oldest first."""
        of_payment = select(RecoveryUpload).where(RecoveryUpload.payment_id == payment_id)
        return self._session.scalars(of_payment.order_by(RecoveryUpload.id)).all()

    def last_of_each(self, payment_ids: Collection[int]) -> dict[int, RecoveryUpload]:
        """The newest proof of each of these payments that has any."""
        if not payment_ids:
            return {}
        newest = (
            select(func.max(RecoveryUpload.id))
            .where(RecoveryUpload.payment_id.in_(payment_ids))
            .group_by(RecoveryUpload.payment_id)
        )
        found = self._session.scalars(select(RecoveryUpload).where(RecoveryUpload.id.in_(newest)))
        return {proof.payment_id: proof for proof in found}

    def insert(self, values: Mapping[str, Any]) -> None:
        """Store a new one."""
        self._session.execute(insert(RecoveryUpload).values(**values))

    def waiting(self, merchant_id: int, most: int) -> int:
        """How many of the merchant's proofs nobody has judged; counted up to `most`."""
        some = (
            select(RecoveryUpload.id)
            .where(
                RecoveryUpload.merchant_id == merchant_id,
                RecoveryUpload.verdict == ProofVerdict.PENDING,
            )
            .limit(most)
        )
        counted = select(func.count()).select_from(some.subquery())
        return int(self._session.scalars(counted).one())

    def of_merchant(
        self, merchant_id: int, *, waiting: bool, limit: int, after: str | None
    ) -> Page[tuple[RecoveryUpload, Payment]]:
        """A page of the merchant's proofs with their payments, newest first.

        Those that wait, or those that were judged. Raises InvalidCursor.
        """
        own = RecoveryUpload.merchant_id == merchant_id
        pending = RecoveryUpload.verdict == ProofVerdict.PENDING
        query = (
            select(RecoveryUpload, Payment)
            .join(Payment, Payment.id == RecoveryUpload.payment_id)
            .where(own, pending if waiting else ~pending)
        )
        return _NEWEST_FIRST.page(self._session, query, own, after=after, limit=limit)

    def find(self, merchant_id: int, public_id: str) -> RecoveryUpload | None:
        """The merchant's proof of this id, without its picture; or None."""
        own = select(RecoveryUpload).where(
            RecoveryUpload.public_id == public_id, RecoveryUpload.merchant_id == merchant_id
        )
        return self._session.scalars(own).one_or_none()

    def picture(self, merchant_id: int, public_id: str) -> bytes | None:
        """The picture of the merchant's proof of this id, or None."""
        own = select(RecoveryUpload.picture).where(
            RecoveryUpload.public_id == public_id, RecoveryUpload.merchant_id == merchant_id
        )
        return self._session.scalars(own).one_or_none()

    def judge(self, proof_id: int, verdict: str, note: str | None, now: datetime) -> None:
        """Write what the merchant made of it."""
        self._session.execute(
            update(RecoveryUpload)
            .where(RecoveryUpload.id == proof_id)
            .values(verdict=verdict, note=note, reviewed_at=now)
        )

    def delete(self, proof_id: int) -> None:
        """Drop one, its picture and all."""
        self._session.execute(delete(RecoveryUpload).where(RecoveryUpload.id == proof_id))

    def delete_before(self, moment: datetime, limit: int) -> int:
        """Drop a batch of those that were sent before this; gives how many."""
        old = (
            select(RecoveryUpload.id)
            .where(RecoveryUpload.uploaded_at < moment)
            .order_by(RecoveryUpload.uploaded_at)
            .limit(limit)
        )
        return self._deleted(self._session.scalars(old).all())

    def delete_of_expired(self, now: datetime, limit: int) -> int:
        """Drop a batch of those whose payment was not paid and no longer can be; how many."""
        over = or_(
            Payment.status.in_((PaymentStatus.EXPIRED, PaymentStatus.CANCELLED)),
            and_(Payment.status == PaymentStatus.PENDING, Payment.expires_at < now),
        )
        expired = (
            select(RecoveryUpload.id)
            .join(Payment, Payment.id == RecoveryUpload.payment_id)
            .where(over)
            .order_by(RecoveryUpload.id)
            .limit(limit)
        )
        return self._deleted(self._session.scalars(expired).all())

    def _deleted(self, ids: Sequence[int]) -> int:
        if not ids:
            return 0
        done = self._session.execute(delete(RecoveryUpload).where(RecoveryUpload.id.in_(ids)))
        return cast("CursorResult[Any]", done).rowcount
