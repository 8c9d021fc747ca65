"""The document and address of merchants, which charges with a due date show.

Revision ID: 0021
Revises: 0020
Create Date: 2026-11-29
"""

import sqlalchemy as sa

from migrations import columns

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

LENGTHS = {"document": 14, "street": 200, "state": 2, "postal_code": 8}


def upgrade():
    for name, length in LENGTHS.items():
        columns.add_column("accounts", sa.Column(name, sa.String(length=length), nullable=True))


def downgrade():
    for name in reversed(LENGTHS):
        columns.drop_column("accounts", name)
