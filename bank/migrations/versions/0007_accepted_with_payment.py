"""The payment with which a client accepted a recurrence.

Revision ID: bank_0007
Revises: bank_0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "bank_0007"
down_revision = "bank_0006"
branch_labels = None
depends_on = None

_KEY = "fk_bank_mandates_payment_id"
_INDEX = "ix_bank_mandates_payment_id"


def upgrade() -> None:
    """Add the column; mandates of older versions were accepted without a payment."""
    row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    key = sa.ForeignKey("bank_transfers.id", name=op.f(_KEY))
    # SQLite gets the key in the same statement: it cannot add one later without a new table.
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    column = sa.Column("payment_id", row_id, key, nullable=True)
    op.add_column("bank_mandates", column, inline_references=is_sqlite)
    op.create_index(op.f(_INDEX), "bank_mandates", ["payment_id"], unique=True)


def downgrade() -> None:
    """Drop the column."""
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint(_KEY, "bank_mandates", type_="foreignkey")
    op.drop_index(op.f(_INDEX), "bank_mandates")
    op.drop_column("bank_mandates", "payment_id")
