"""Signals: what a merchant should look at; the indexes of the administrators' lists.

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-21
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"
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
        "signals",
        sa.Column("id", row_id(), nullable=False),
        sa.Column("public_id", exact(32), nullable=False),
        sa.Column("merchant_id", row_id(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("subject", exact(64), nullable=False),
        sa.Column("payment_id", row_id(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("window_seconds", sa.Integer(), nullable=False),
        sa.Column("window_at", instant(), nullable=False),
        sa.Column("first_at", instant(), nullable=False),
        sa.Column("last_at", instant(), nullable=False),
        sa.Column("seen_at", instant(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('wrong-pins', 'wrong-amounts', 'creation-burst', 'refused-payer')",
            name=op.f("ck_signals_kind_known"),
        ),
        sa.CheckConstraint(
            "times >= threshold AND threshold > 0", name=op.f("ck_signals_threshold_reached")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_signals_merchant_id")
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_signals_payment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signals")),
        sa.UniqueConstraint("public_id", name=op.f("uq_signals_public_id")),
        sa.UniqueConstraint(
            *("merchant_id", "kind", "subject", "window_at"),
            name=op.f("uq_signals_merchant_id_kind_subject_window_at"),
        ),
        **TABLE,
    )
    op.create_index("ix_signals_merchant", "signals", ["merchant_id", "id"])
    op.create_index("ix_signals_unseen", "signals", ["merchant_id", "seen_at"])
    op.create_index("ix_accounts_role", "accounts", ["role", "login"])
    op.create_index("ix_audit_entries_action", "audit_entries", ["action", "id"])


def downgrade():
    op.drop_index("ix_audit_entries_action", "audit_entries")
    op.drop_index("ix_accounts_role", "accounts")
    op.drop_table("signals")
