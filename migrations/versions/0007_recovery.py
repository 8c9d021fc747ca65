"""Recovery: the proofs that payers send for their merchant to look at.

Revision ID: 0007
Revises: 0006
Create Date: 2026-11-21
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLE = {
    f"{engine}_{option}": value
    for engine in ("mysql", "mariadb")
    for option, value in (
        ("engine", "InnoDB"),
        ("charset", "utf8mb4"),
        ("collate", "utf8mb4_unicode_ci"),
    )
}


def row_id():
    """An automatic row id; SQLite increments only INTEGER columns."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def instant():
    """UTC with microseconds; a plain DATETIME of MySQL has none."""
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def exact(length):
    """Text compared byte for byte; `utf8mb4_bin` would ignore trailing spaces."""
    dialect = op.get_bind().dialect
    collation = "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation=collation)
    return sa.String(length).with_variant(binary, "mysql", "mariadb")


def upgrade():
    op.create_table(
        "recovery_uploads",
        sa.Column("id", row_id(), nullable=False),
        sa.Column("public_id", exact(32), nullable=False),
        sa.Column("payment_id", row_id(), nullable=False),
        sa.Column("merchant_id", row_id(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sha256", exact(64), nullable=False),
        sa.Column(
            "picture",
            sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb"),
            nullable=False,
        ),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("uploaded_at", instant(), nullable=False),
        sa.Column("reviewed_at", instant(), nullable=True),
        sa.CheckConstraint(
            "verdict IN ('pending', 'verified', 'rejected')",
            name=op.f("ck_recovery_uploads_verdict_known"),
        ),
        sa.CheckConstraint(
            "(verdict = 'pending' AND reviewed_at IS NULL)"
            " OR (verdict <> 'pending' AND reviewed_at IS NOT NULL)",
            name=op.f("ck_recovery_uploads_pending_is_unreviewed"),
        ),
        sa.CheckConstraint(
            "number > 0 AND number <= 5", name=op.f("ck_recovery_uploads_number_within_bound")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_recovery_uploads_merchant_id")
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_recovery_uploads_payment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_uploads")),
        sa.UniqueConstraint(
            "payment_id", "number", name=op.f("uq_recovery_uploads_payment_id_number")
        ),
        sa.UniqueConstraint(
            "payment_id", "sha256", name=op.f("uq_recovery_uploads_payment_id_sha256")
        ),
        sa.UniqueConstraint("public_id", name=op.f("uq_recovery_uploads_public_id")),
        **TABLE,
    )
    op.create_index(
        "ix_recovery_uploads_queue", "recovery_uploads", ["merchant_id", "verdict", "id"]
    )
    op.create_index("ix_recovery_uploads_age", "recovery_uploads", ["uploaded_at", "id"])


def downgrade():
    op.drop_table("recovery_uploads")
