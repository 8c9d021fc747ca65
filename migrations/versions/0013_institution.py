"""The institution that receives a merchant's money.

Revision ID: 0013
Revises: 0012
Create Date: 2026-11-28
"""

import sqlalchemy as sa

from migrations import columns

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade():
    columns.add_column("accounts", sa.Column("institution", sa.String(length=60)))


def downgrade():
    columns.drop_column("accounts", "institution")
