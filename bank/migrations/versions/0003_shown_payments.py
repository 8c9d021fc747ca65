"""When the service first saw a payment by a look-up.

Revision ID: bank_0003
Revises: bank_0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "bank_0003"
down_revision = "bank_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; older payments count as not seen."""
    instant = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.add_column("bank_notices", sa.Column("shown_at", instant, nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("bank_notices", "shown_at")
