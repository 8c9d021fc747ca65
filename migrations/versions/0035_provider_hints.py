"""Hints of callbacks: what a bank should be asked for soon.

Revision ID: 0035
Revises: 0034
Create Date: 2026-11-30
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

TABLE = "provider_hints"


def upgrade():
    op.create_table(
        TABLE,
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("account_id", columns.row_id(), nullable=False),
        sa.Column("txid", columns.exact(35), nullable=True),
        sa.Column("end_to_end_id", columns.exact(128), nullable=True),
        sa.Column("due_at", columns.instant(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.CheckConstraint("attempts >= 0", name=op.f(f"ck_{TABLE}_attempts_not_negative")),
        sa.CheckConstraint(
            "txid IS NOT NULL OR end_to_end_id IS NOT NULL", name=op.f(f"ck_{TABLE}_names_money")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["provider_accounts.id"], name=op.f(f"fk_{TABLE}_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
        **columns.TABLE,
    )
    op.create_index("ix_provider_hints_due", TABLE, ["account_id", "due_at", "id"])


def downgrade():
    op.drop_table(TABLE)
