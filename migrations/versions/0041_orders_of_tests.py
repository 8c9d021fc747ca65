"""Orders to payers' banks: which go to the bank of test halves.

Revision ID: 0041
Revises: 0040
Create Date: 2026-11-30
"""

import sqlalchemy as sa

from migrations import columns

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

TABLE, COLUMN = "payer_bank_orders", "is_test"


def upgrade():
    columns.add_column(
        TABLE, sa.Column(COLUMN, sa.Boolean(), server_default=sa.false(), nullable=False)
    )


def downgrade():
    columns.drop_column(TABLE, COLUMN)
