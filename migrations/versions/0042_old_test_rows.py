"""Indexes of references, so that the deletion of an old test row finds what refers to it.

Revision ID: 0042
Revises: 0041
Create Date: 2026-11-30
"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

INDEXES = (
    ("webhook_deliveries", "feed_position", "ix_webhook_deliveries_feed"),
    ("webhook_deliveries", "recurrence_change_id", "ix_webhook_deliveries_recurrence"),
    ("webhook_deliveries", "charge_change_id", "ix_webhook_deliveries_charge"),
    ("signals", "payment_id", "ix_signals_payment"),
    ("recurring_charge_changes", "attempt_id", "ix_recurring_charge_changes_attempt"),
)


def upgrade():
    for table, column, name in INDEXES:
        is_given = sa.text(f"{column} IS NOT NULL")
        where = {"postgresql_where": is_given, "sqlite_where": is_given}
        op.create_index(name, table, [column], **where)
        drop_others(table, column, name)


def downgrade():
    for table, column, name in INDEXES:
        if is_mysql():
            op.create_index(f"fk_{table}_{column}", table, [column])
        op.drop_index(name, table)


def drop_others(table, column, name):
    """MySQL and MariaDB have made an index for each foreign key. Some drop it by themselves."""
    if not is_mysql():
        return
    for index in sa.inspect(op.get_bind()).get_indexes(table):
        if index["column_names"] == [column] and index["name"] != name:
            op.drop_index(index["name"], table)


def is_mysql():
    return op.get_bind().dialect.name in ("mysql", "mariadb")
