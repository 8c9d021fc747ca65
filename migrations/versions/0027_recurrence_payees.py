"""The company to which the payer of a recurrence agrees.

Revision ID: 0027
Revises: 0026
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade():
    columns.add_column("recurrences", sa.Column("payee_document", sa.String(14), nullable=True))
    op.execute(
        "UPDATE recurrences SET payee_document = (SELECT accounts.document FROM accounts"
        " WHERE accounts.id = recurrences.merchant_id)"
    )


def downgrade():
    columns.drop_column("recurrences", "payee_document")
