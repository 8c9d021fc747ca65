"""E-mails that warn of an account at a bank, such as of its certificate's end.

Revision ID: 0034
Revises: 0033
Create Date: 2026-11-30
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

TABLE, CHECK = "outgoing_mails", "ck_outgoing_mails_kind_known"
KINDS = (
    "kind IN ('password-reset', 'payment-received', 'receipt')",
    "kind IN ('password-reset', 'payment-received', 'receipt', 'provider-notice')",
)


def upgrade():
    _change_rule(*KINDS)


def downgrade():
    mails = sa.table(TABLE, sa.column("kind"))
    op.execute(mails.delete().where(mails.c.kind == "provider-notice"))
    _change_rule(*KINDS[::-1])


def _change_rule(old, new):
    if op.get_bind().dialect.name == "sqlite":
        columns.rewrite_on_sqlite(TABLE, (old, new))
        return
    op.drop_constraint(op.f(CHECK), TABLE, type_="check")
    op.create_check_constraint(op.f(CHECK), TABLE, new)
