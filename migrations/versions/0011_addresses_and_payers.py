"""Addresses of the shop, and the payer, of each payment.

Revision ID: 0011
Revises: 0010
Create Date: 2026-11-28
"""

import sqlalchemy as sa

from migrations import columns

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade():
    columns.add_column("payments", sa.Column("return_url", sa.String(length=500)))
    columns.add_column("payments", sa.Column("cancel_url", sa.String(length=500)))
    columns.add_column("payments", sa.Column("payer_name", sa.String(length=140)))
    columns.add_column("payments", sa.Column("payer_document", sa.String(length=14)))


def downgrade():
    for name in ("payer_document", "payer_name", "cancel_url", "return_url"):
        columns.drop_column("payments", name)
