"""The service's id for a payer, and whether the payer's PIN was ever entered right.

Revision ID: bank_0002
Revises: bank_0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "bank_0002"
down_revision = "bank_0001"
branch_labels = None
depends_on = None


def _exact(length: int) -> sa.String:
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(binary, "mysql", "mariadb")


def upgrade() -> None:
    """Add the columns; existing clients keep their PIN, which counts as proved."""
    op.add_column("bank_payers", sa.Column("holder", _exact(64), nullable=True))
    op.add_column(
        "bank_payers",
        sa.Column("is_pin_proved", sa.Boolean(), server_default=sa.true(), nullable=False),
    )
    op.create_index("ix_bank_payers_holder", "bank_payers", ["holder"], unique=True)


def downgrade() -> None:
    """Drop the columns; the link between accounts and clients is lost."""
    op.drop_index("ix_bank_payers_holder", table_name="bank_payers")
    op.drop_column("bank_payers", "is_pin_proved")
    op.drop_column("bank_payers", "holder")
