"""A callback's address can be replaced: the one before is accepted until the bank has the new one.

Revision ID: 0040
Revises: 0039
Create Date: 2026-11-30
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

TABLE, COLUMN, INDEX = "provider_accounts", "previous_token_sha256", "ix_provider_accounts_old_token"


def upgrade():
    columns.add_column(TABLE, sa.Column(COLUMN, columns.exact(64), nullable=True))
    op.create_index(INDEX, TABLE, [COLUMN], unique=True)


def downgrade():
    op.drop_index(INDEX, TABLE)
    columns.drop_column(TABLE, COLUMN)
