"""Payments of tests that the bank's robot payer shall pay.

Revision ID: 0016
Revises: 0015
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade():
    columns.add_column("payments", sa.Column("robot_terms", sa.JSON()))
    op.create_table(
        "robot_payments",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("payment_id", columns.row_id(), nullable=False),
        sa.Column("merchant_id", columns.row_id(), nullable=False),
        sa.Column("pay_at", columns.instant(), nullable=False),
        sa.Column("is_at_bank", sa.Boolean(), nullable=False),
        sa.Column("next_at", columns.instant(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "attempts >= 0", name=op.f("ck_robot_payments_attempts_not_negative")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_robot_payments_merchant_id")
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_robot_payments_payment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_robot_payments")),
        sa.UniqueConstraint("payment_id", name=op.f("uq_robot_payments_payment_id")),
        **columns.TABLE,
    )
    op.create_index("ix_robot_payments_due", "robot_payments", ["next_at", "id"])
    op.create_index("ix_robot_payments_merchant", "robot_payments", ["merchant_id"])


def downgrade():
    op.drop_table("robot_payments")
    columns.drop_column("payments", "robot_terms")
