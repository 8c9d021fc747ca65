"""Proofs: pictures that payers upload for the merchant to review. A proof settles nothing.

Pictures are in the database because processes share them, and no static file route serves them.
"""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_public_id
from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string

PROOFS_PER_PAYMENT_MAX = 5
NOTE_MAX = 500


class ProofVerdict(enum.StrEnum):
    """The merchant's decision."""

    PENDING = "pending"
    VERIFIED = "verified"
    REJECTED = "rejected"


class RecoveryUpload(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One re-encoded picture. `number` limits a payment to five pictures."""

    __tablename__ = "recovery_uploads"
    __table_args__ = (
        CheckConstraint("verdict IN ('pending', 'verified', 'rejected')", name="verdict_known"),
        CheckConstraint(
            "(verdict = 'pending' AND reviewed_at IS NULL)"
            " OR (verdict <> 'pending' AND reviewed_at IS NOT NULL)",
            name="pending_is_unreviewed",
        ),
        CheckConstraint(
            f"number > 0 AND number <= {PROOFS_PER_PAYMENT_MAX}", name="number_within_bound"
        ),
        UniqueConstraint("payment_id", "number"),
        UniqueConstraint("payment_id", "sha256"),
        Index("ix_recovery_uploads_queue", "merchant_id", "verdict", "id"),
        Index("ix_recovery_uploads_age", "uploaded_at", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True, default=new_public_id)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"))
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    number: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str] = mapped_column(exact_string(64))
    """The digest of the uploaded file: a repeated upload is the same proof."""
    picture: Mapped[bytes] = mapped_column(
        LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb"), deferred=True
    )
    """The re-encoded JPEG."""
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    verdict: Mapped[str] = mapped_column(String(16), default=ProofVerdict.PENDING)
    note: Mapped[str | None] = mapped_column(String(NOTE_MAX))
    uploaded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reviewed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
