"""Test halves: a merchant's second account, whose money is never real.

Revision ID: 0036
Revises: 0035
Create Date: 2026-11-30
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

TABLE, COLUMN, INDEX = "accounts", "test_of_id", "ix_accounts_test_of"
KEY = "fk_accounts_test_of_id"


def upgrade():
    columns.add_column(
        TABLE,
        sa.Column(COLUMN, columns.row_id(), nullable=True),
        foreign_key=sa.ForeignKey("accounts.id", name=op.f(KEY)),
    )
    op.create_index(INDEX, TABLE, [COLUMN], unique=True)


def downgrade():
    if op.get_bind().dialect.name == "sqlite":  # elsewhere the index goes with its column
        op.drop_index(INDEX, TABLE)
    columns.drop_column(TABLE, COLUMN, KEY)
