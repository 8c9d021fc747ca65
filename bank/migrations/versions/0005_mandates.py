"""Mandates of Pix Automático, and the outbox of the decisions about them.

Revision ID: bank_0005
Revises: bank_0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "bank_0005"
down_revision = "bank_0004"
branch_labels = None
depends_on = None

_TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
}


def _exact_text(length: int) -> sa.String:
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(binary, "mysql", "mariadb")


def _instant() -> sa.DateTime:
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def _row_id() -> sa.BigInteger:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "bank_mandates",
        sa.Column("id", _row_id(), nullable=False),
        sa.Column("payer_id", _row_id(), nullable=False),
        sa.Column("id_rec", _exact_text(29), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("journey", sa.Integer(), nullable=False),
        sa.Column("payee_name", sa.String(140), nullable=False),
        sa.Column("payee_document", sa.String(14), nullable=False),
        sa.Column("contract", sa.String(35), nullable=False),
        sa.Column("subject", sa.String(35), nullable=True),
        sa.Column("debtor_name", sa.String(140), nullable=True),
        sa.Column("debtor_document", sa.String(14), nullable=True),
        sa.Column("periodicity", sa.String(16), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.Column("fixed_centavos", sa.BigInteger(), nullable=True),
        sa.Column("minimum_centavos", sa.BigInteger(), nullable=True),
        sa.Column("allows_retries", sa.Boolean(), nullable=False),
        sa.Column("decided_at", _instant(), nullable=False),
        sa.Column("closed_at", _instant(), nullable=True),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.CheckConstraint(
            "status IN ('accepting', 'active', 'refused', 'cancelled', 'ended')",
            name=op.f("ck_bank_mandates_status"),
        ),
        sa.CheckConstraint(
            "(status = 'ended') = (reason IS NOT NULL)", name=op.f("ck_bank_mandates_reason")
        ),
        sa.CheckConstraint("journey BETWEEN 1 AND 4", name=op.f("ck_bank_mandates_journey")),
        sa.ForeignKeyConstraint(
            ["payer_id"], ["bank_payers.id"], name=op.f("fk_bank_mandates_payer_id")
        ),
        sa.UniqueConstraint("payer_id", "id_rec", name=op.f("uq_bank_mandates_payer_id_id_rec")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_mandates")),
        **_TABLE,
    )
    op.create_table(
        "bank_mandate_notices",
        sa.Column("id", _row_id(), nullable=False),
        sa.Column("mandate_id", _row_id(), nullable=False),
        sa.Column("message_id", _exact_text(64), nullable=False),
        sa.Column("answer", sa.String(10), nullable=False),
        sa.Column("body", sa.LargeBinary(4096), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", _instant(), nullable=False),
        sa.Column("answer_status", sa.Integer(), nullable=True),
        sa.Column("answer_code", sa.String(64), nullable=True),
        sa.Column("answer_detail", sa.String(500), nullable=True),
        sa.Column("verdict", sa.String(10), nullable=True),
        sa.Column("done_at", _instant(), nullable=True),
        sa.CheckConstraint(
            "answer IN ('accepted', 'refused', 'cancelled')",
            name=op.f("ck_bank_mandate_notices_answer"),
        ),
        sa.CheckConstraint(
            "verdict IN ('confirmed', 'returned')", name=op.f("ck_bank_mandate_notices_verdict")
        ),
        sa.CheckConstraint(
            "(done_at IS NULL) = (verdict IS NULL)", name=op.f("ck_bank_mandate_notices_done")
        ),
        sa.ForeignKeyConstraint(
            ["mandate_id"], ["bank_mandates.id"], name=op.f("fk_bank_mandate_notices_mandate_id")
        ),
        sa.UniqueConstraint(
            "mandate_id", "answer", name=op.f("uq_bank_mandate_notices_mandate_id_answer")
        ),
        sa.UniqueConstraint("message_id", name=op.f("uq_bank_mandate_notices_message_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_mandate_notices")),
        **_TABLE,
    )
    op.create_index(
        op.f("ix_bank_mandate_notices_done_at_next_attempt_at"),
        "bank_mandate_notices",
        ["done_at", "next_attempt_at"],
    )


def downgrade() -> None:
    """Drop the tables: the mandates, and the decisions that the service has not heard of."""
    op.drop_table("bank_mandate_notices")
    op.drop_table("bank_mandates")
