"""Orders to the payer's bank about recurrences.

Revision ID: 0028
Revises: 0027
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

CHECKS = {
    "attempts_not_negative": "attempts >= 0",
    "kind_known": "kind IN ('request', 'request-cancel', 'mandate-cancel', 'collection',"
    " 'collection-cancel')",
}


def upgrade():
    op.create_table(
        "payer_bank_orders",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", columns.exact(35), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", columns.instant(), nullable=False),
        sa.Column("next_at", columns.instant(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        *[
            sa.CheckConstraint(rule, name=op.f(f"ck_payer_bank_orders_{name}"))
            for name, rule in CHECKS.items()
        ],
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payer_bank_orders")),
        **columns.TABLE,
    )
    op.create_index("ix_payer_bank_orders_due", "payer_bank_orders", ["next_at", "id"])
    op.create_index("ix_payer_bank_orders_subject", "payer_bank_orders", ["subject", "id"])


def downgrade():
    op.drop_table("payer_bank_orders")
