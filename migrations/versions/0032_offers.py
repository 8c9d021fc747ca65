"""An index that finds the offers of recurrences that nobody has accepted in time.

Revision ID: 0032
Revises: 0031
Create Date: 2026-11-29
"""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

INDEX, TABLE = "ix_recurrences_offers", "recurrences"


def upgrade():
    op.create_index(INDEX, TABLE, ["status", "first_day", "id"])


def downgrade():
    op.drop_index(INDEX, TABLE)
