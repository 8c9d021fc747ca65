"""Which part of a Pix Saque or Pix Troco a refund gives back.

Revision ID: 0022
Revises: 0021
Create Date: 2026-11-29
"""

import sqlalchemy as sa

from migrations import columns

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade():
    columns.add_column(
        "refunds",
        sa.Column("of_withdrawal", sa.Boolean(), server_default=sa.false(), nullable=False),
    )


def downgrade():
    columns.drop_column("refunds", "of_withdrawal")
