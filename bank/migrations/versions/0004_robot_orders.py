"""Orders to the robot payer.

Revision ID: bank_0004
Revises: bank_0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "bank_0004"
down_revision = "bank_0003"
branch_labels = None
depends_on = None

_TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
}


def upgrade() -> None:
    """Create the table."""
    instant = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    binary = mysql.VARCHAR(35, charset="utf8mb4", collation="utf8mb4_bin")
    order_id = sa.String(35).with_variant(binary, "mysql", "mariadb")
    row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "bank_robot_orders",
        sa.Column("id", row_id, nullable=False),
        sa.Column("order_id", order_id, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("scenario", sa.String(24), nullable=False),
        sa.Column("late_seconds", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("received_at", instant, nullable=False),
        sa.Column("next_attempt_at", instant, nullable=False),
        sa.Column("ended_at", instant, nullable=True),
        sa.CheckConstraint(
            "status IN ('waiting', 'paid', 'refused')", name=op.f("ck_bank_robot_orders_status")
        ),
        sa.CheckConstraint(
            "(status = 'waiting') = (ended_at IS NULL)", name=op.f("ck_bank_robot_orders_ended")
        ),
        sa.CheckConstraint(
            "(status = 'refused') = (reason IS NOT NULL)", name=op.f("ck_bank_robot_orders_reason")
        ),
        sa.UniqueConstraint("order_id", name=op.f("uq_bank_robot_orders_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_robot_orders")),
        **_TABLE,
    )
    op.create_index(
        op.f("ix_bank_robot_orders_status_next_attempt_at"),
        "bank_robot_orders",
        ["status", "next_attempt_at"],
    )
    op.create_index(op.f("ix_bank_robot_orders_ended_at"), "bank_robot_orders", ["ended_at"])


def downgrade() -> None:
    """Drop the table; orders that wait are lost."""
    op.drop_table("bank_robot_orders")
