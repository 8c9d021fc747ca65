"""Money that does not fit: an index to count it, and the returns that exceed their payments.

Revision ID: 0039
Revises: 0036
Create Date: 2026-11-30
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0039"
down_revision = "0036"
branch_labels = None
depends_on = None

HINTS, INDEX = "provider_hints", "ix_receipts_misfit"


def upgrade():
    op.create_index(INDEX, "receipts", ["misfit", "payment_id", "provider_account_id"])
    columns.add_column(HINTS, sa.Column("misfit", sa.String(40), nullable=True))
    columns.add_column(HINTS, sa.Column("amount_centavos", sa.BigInteger(), nullable=True))


def downgrade():
    columns.drop_column(HINTS, "amount_centavos")
    columns.drop_column(HINTS, "misfit")
    op.drop_index(INDEX, "receipts")
