"""Queries on proofs. Lists leave the pictures out; `picture` reads a single one."""

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
        proofs = self._session.scalars(select(RecoveryUpload).where(RecoveryUpload.id.in_(newest)))
        return {proof.payment_id: proof for proof in proofs}

    def insert(self, values: Mapping[str, Any]) -> None:
        """Store a new proof."""
        self._session.execute(insert(RecoveryUpload).values(**values))

    def count_unjudged(self, merchant_id: int, most: int) -> int:
        """The number of the merchant's proofs without a verdict, counted up to `most`."""
        unjudged = (
            select(RecoveryUpload.id)
            .where(
                RecoveryUpload.merchant_id == merchant_id,
                RecoveryUpload.verdict == ProofVerdict.PENDING,
            )
            .limit(most)
        )
        count = select(func.count()).select_from(unjudged.subquery())
        return int(self._session.scalars(count).one())

    def of_merchant(
        self, merchant_id: int, *, is_pending: bool, limit: int, after: str | None
    ) -> Page[tuple[RecoveryUpload, Payment]]:
        """A page of the merchant's proofs with their payments, newest first.

        Only those without a verdict, or only those with one. Raises InvalidCursor.
        """
        own = RecoveryUpload.merchant_id == merchant_id
        pending = RecoveryUpload.verdict == ProofVerdict.PENDING
        query = (
            select(RecoveryUpload, Payment)
            .join(Payment, Payment.id == RecoveryUpload.payment_id)
            .where(own, pending if is_pending else ~pending)
        )
        return _NEWEST_FIRST.page(self._session, query, own, after=after, limit=limit)

    def find(self, merchant_id: int, public_id: str) -> RecoveryUpload | None:
        """The merchant's proof with this id, without its picture; or None."""
        own = select(RecoveryUpload).where(
            RecoveryUpload.public_id == public_id, RecoveryUpload.merchant_id == merchant_id
        )
        return self._session.scalars(own).one_or_none()

    def picture(self, merchant_id: int, public_id: str) -> bytes | None:
        """The picture of the merchant's proof with this id, or None."""
        own = select(RecoveryUpload.picture).where(
            RecoveryUpload.public_id == public_id, RecoveryUpload.merchant_id == merchant_id
        )
        return self._session.scalars(own).one_or_none()

    def judge(self, proof_id: int, verdict: str, note: str | None, now: datetime) -> None:
        """Store the merchant's verdict."""
        self._session.execute(
            update(RecoveryUpload)
            .where(RecoveryUpload.id == proof_id)
            .values(verdict=verdict, note=note, reviewed_at=now)
        )

    def delete(self, proof_id: int) -> None:
        """Delete a proof and its picture."""
        self._session.execute(delete(RecoveryUpload).where(RecoveryUpload.id == proof_id))

    def delete_before(self, moment: datetime, limit: int) -> int:
        """Delete up to `limit` proofs uploaded before the moment; return how many."""
        old = (
            select(RecoveryUpload.id)
            .where(RecoveryUpload.uploaded_at < moment)
            .order_by(RecoveryUpload.uploaded_at)
            .limit(limit)
        )
        return self._delete_all(self._session.scalars(old).all())

    def delete_of_expired(self, now: datetime, limit: int) -> int:
        """Delete up to `limit` proofs of payments that can no longer be paid; return how many."""
        is_over = or_(
            Payment.status.in_((PaymentStatus.EXPIRED, PaymentStatus.CANCELLED)),
            and_(Payment.status == PaymentStatus.PENDING, Payment.expires_at < now),
        )
        expired = (
            select(RecoveryUpload.id)
            .join(Payment, Payment.id == RecoveryUpload.payment_id)
            .where(is_over)
            .order_by(RecoveryUpload.id)
            .limit(limit)
        )
        return self._delete_all(self._session.scalars(expired).all())

    def _delete_all(self, ids: Sequence[int]) -> int:
        if not ids:
            return 0
        result = self._session.execute(delete(RecoveryUpload).where(RecoveryUpload.id.in_(ids)))
        return cast("CursorResult[Any]", result).rowcount
