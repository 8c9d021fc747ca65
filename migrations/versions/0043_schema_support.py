"""The oldest code that works with each migration.

Revision ID: 0043
Revises: 0042
Create Date: 2026-11-30
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None
oldest_code = None


def upgrade():
    op.create_table(
        "schema_support",
        sa.Column("revision", columns.exact(32), nullable=False),
        sa.Column("oldest_code", columns.exact(32), nullable=True),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_schema_support")),
        **columns.TABLE,
    )


def downgrade():
    op.drop_table("schema_support")
