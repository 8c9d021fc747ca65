"""Deliveries that tell the new status of a recurrence.

Revision ID: 0026
Revises: 0025
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

TABLE, COLUMN = "webhook_deliveries", "recurrence_change_id"
CHECK, KEY = f"ck_{TABLE}_has_an_event_or_is_a_ping", f"fk_{TABLE}_{COLUMN}"
OLD = "(kind = 'ping' AND feed_position IS NULL) OR (kind <> 'ping' AND feed_position IS NOT NULL)"
NEW = (
    f"(kind = 'ping' AND feed_position IS NULL AND {COLUMN} IS NULL)"
    f" OR (kind <> 'ping' AND (feed_position IS NULL) <> ({COLUMN} IS NULL))"
)


def upgrade():
    columns.add_column(
        TABLE,
        sa.Column(COLUMN, columns.row_id(), nullable=True),
        foreign_key=sa.ForeignKey("recurrence_changes.id", name=op.f(KEY)),
    )
    _change_rule(OLD, NEW)


def downgrade():
    # The older version would send them as pings.
    op.execute(
        "DELETE FROM webhook_attempts WHERE delivery_id IN"
        f" (SELECT id FROM {TABLE} WHERE {COLUMN} IS NOT NULL)"
    )
    op.execute(f"DELETE FROM {TABLE} WHERE {COLUMN} IS NOT NULL")
    _change_rule(NEW, OLD)
    columns.drop_column(TABLE, COLUMN, KEY)


def _change_rule(old, new):
    if op.get_bind().dialect.name == "sqlite":
        columns.rewrite_on_sqlite(TABLE, (old, new))
        return
    op.drop_constraint(op.f(CHECK), TABLE, type_="check")
    op.create_check_constraint(op.f(CHECK), TABLE, new)
