"""One holder of each shop's name.

Of old shops that share a name the oldest holds it; the others keep the name and hold none.

Revision ID: 0014
Revises: 0013
Create Date: 2026-11-28
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade():
    columns.add_column("accounts", sa.Column("held_name_key", columns.exact(240)))
    accounts = sa.table("accounts", *(sa.column(name) for name in ("id", "name_key")))
    holders = sa.table("accounts", *(sa.column(name) for name in ("id", "held_name_key")))
    bind = op.get_bind()
    oldest = (
        sa.select(sa.func.min(accounts.c.id).label("id"), accounts.c.name_key)
        .where(accounts.c.name_key.is_not(None))
        .group_by(accounts.c.name_key)
    )
    for row in bind.execute(oldest).all():
        holder = holders.update().where(holders.c.id == row.id)
        bind.execute(holder.values(held_name_key=row.name_key))
    op.create_index("ix_accounts_held_name_key", "accounts", ["held_name_key"], unique=True)


def downgrade():
    op.drop_index("ix_accounts_held_name_key", "accounts")
    columns.drop_column("accounts", "held_name_key")
