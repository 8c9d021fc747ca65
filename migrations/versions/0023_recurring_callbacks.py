"""Addresses for the callbacks of recurrences and of recurring charges.

Revision ID: 0023
Revises: 0022
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

TABLE, CHECK = "webhook_endpoints", "ck_webhook_endpoints_kind_has_its_key"
KINDS = ("(kind = 'events' AND", "(kind IN ('events', 'rec', 'cobr') AND")
RULE = (
    "{} pix_key IS NULL) OR (kind = 'pix' AND (pix_key IS NOT NULL OR deleted_at IS NOT NULL))"
)


def upgrade():
    _change_rule(*KINDS)


def downgrade():
    # A deleted row of the other kind has no key either; a job deletes it after its deliveries.
    endpoints = sa.table(
        TABLE, sa.column("kind"), sa.column("deleted_at"), sa.column("enabled")
    )
    recurring = endpoints.update().where(endpoints.c.kind.in_(("rec", "cobr")))
    deleted_at = sa.func.coalesce(endpoints.c.deleted_at, sa.func.current_timestamp())
    op.execute(recurring.values(deleted_at=deleted_at, enabled=sa.false(), kind="pix"))
    _change_rule(*KINDS[::-1])


def _change_rule(old, new):
    if op.get_bind().dialect.name == "sqlite":
        columns.rewrite_on_sqlite(TABLE, (old, new))
        return
    op.drop_constraint(op.f(CHECK), TABLE, type_="check")
    op.create_check_constraint(op.f(CHECK), TABLE, RULE.format(new))
