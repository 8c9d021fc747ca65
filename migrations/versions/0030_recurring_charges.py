"""Charges of recurrences, their attempts at the payer's bank, their history and its callbacks.

Revision ID: 0030
Revises: 0028
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0030"
down_revision = "0028"
branch_labels = None
depends_on = None

CHARGES, ATTEMPTS, CHANGES = "recurring_charges", "charge_attempts", "recurring_charge_changes"
DELIVERIES, COLUMN = "webhook_deliveries", "charge_change_id"
CHECK, KEY = f"ck_{DELIVERIES}_has_an_event_or_is_a_ping", f"fk_{DELIVERIES}_{COLUMN}"
OLD = (
    "(kind = 'ping' AND feed_position IS NULL AND recurrence_change_id IS NULL)"
    " OR (kind <> 'ping' AND (feed_position IS NULL) <> (recurrence_change_id IS NULL))"
)
NEW = (
    "(kind = 'ping' AND feed_position IS NULL AND recurrence_change_id IS NULL"
    f" AND {COLUMN} IS NULL) OR (kind <> 'ping' AND ("
    f"(feed_position IS NOT NULL AND recurrence_change_id IS NULL AND {COLUMN} IS NULL)"
    f" OR (feed_position IS NULL AND recurrence_change_id IS NOT NULL AND {COLUMN} IS NULL)"
    f" OR (feed_position IS NULL AND recurrence_change_id IS NULL AND {COLUMN} IS NOT NULL)))"
)


def upgrade():
    op.create_table(
        CHARGES,
        sa.Column("payment_id", columns.row_id(), nullable=False, autoincrement=False),
        sa.Column("recurrence_id", columns.row_id(), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("due_day", sa.Date(), nullable=False),
        sa.Column("settles_on", sa.Date(), nullable=False),
        sa.Column("adjusts_day", sa.Boolean(), nullable=False),
        sa.Column("payee_branch", sa.String(length=4), nullable=True),
        sa.Column("payee_account", sa.String(length=20), nullable=False),
        sa.Column("payee_account_type", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("closing_party", sa.String(length=16), nullable=True),
        sa.Column("closing_code", columns.exact(4), nullable=True),
        sa.Column("closing_text", sa.String(length=400), nullable=True),
        sa.Column("order_at", columns.instant(), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("closed_at", columns.instant(), nullable=True),
        sa.Column(
            "live_cycle",
            sa.Integer(),
            sa.Computed(
                "CASE WHEN status <> 'rejected' AND status <> 'cancelled' THEN cycle END",
                persisted=True,
            ),
            nullable=True,
        ),
        sa.CheckConstraint(
            "status IN ('created', 'active', 'concluded', 'expired', 'rejected', 'cancelled')",
            name=op.f(f"ck_{CHARGES}_status_known"),
        ),
        sa.CheckConstraint(
            "(status IN ('created', 'active') AND closed_at IS NULL)"
            " OR (status NOT IN ('created', 'active') AND closed_at IS NOT NULL)",
            name=op.f(f"ck_{CHARGES}_final_is_closed"),
        ),
        sa.CheckConstraint("sequence > 0", name=op.f(f"ck_{CHARGES}_sequence_positive")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f(f"fk_{CHARGES}_payment_id")),
        sa.ForeignKeyConstraint(
            ["recurrence_id"], ["recurrences.id"], name=op.f(f"fk_{CHARGES}_recurrence_id")
        ),
        sa.PrimaryKeyConstraint("payment_id", name=op.f(f"pk_{CHARGES}")),
        sa.UniqueConstraint(
            "recurrence_id", "live_cycle", name=op.f(f"uq_{CHARGES}_recurrence_id_live_cycle")
        ),
        **columns.TABLE,
    )
    op.create_index("ix_recurring_charges_order", CHARGES, ["order_at", "payment_id"])
    op.create_table(
        ATTEMPTS,
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("payment_id", columns.row_id(), nullable=False),
        sa.Column("end_to_end_id", columns.exact(32), nullable=False),
        sa.Column("kind", sa.String(length=4), nullable=False),
        sa.Column("settles_on", sa.Date(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("rejection_code", columns.exact(4), nullable=True),
        sa.Column("rejection_text", sa.String(length=400), nullable=True),
        sa.Column("requested_at", columns.instant(), nullable=False),
        sa.Column(
            "open_payment_id",
            columns.row_id(),
            sa.Computed(
                "CASE WHEN status = 'requested' OR status = 'scheduled' THEN payment_id END",
                persisted=True,
            ),
            nullable=True,
        ),
        sa.CheckConstraint(
            "kind IN ('AGND', 'NTAG', 'RIFL')", name=op.f(f"ck_{ATTEMPTS}_kind_known")
        ),
        sa.CheckConstraint(
            "status IN ('requested', 'scheduled', 'paid', 'rejected', 'cancelled', 'expired')",
            name=op.f(f"ck_{ATTEMPTS}_status_known"),
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], [f"{CHARGES}.payment_id"], name=op.f(f"fk_{ATTEMPTS}_payment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{ATTEMPTS}")),
        sa.UniqueConstraint("end_to_end_id", name=op.f(f"uq_{ATTEMPTS}_end_to_end_id")),
        sa.UniqueConstraint("open_payment_id", name=op.f(f"uq_{ATTEMPTS}_open_payment_id")),
        **columns.TABLE,
    )
    op.create_index("ix_charge_attempts_charge", ATTEMPTS, ["payment_id", "id"])
    op.create_table(
        CHANGES,
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("payment_id", columns.row_id(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("attempt_id", columns.row_id(), nullable=True),
        sa.Column("attempt_status", sa.String(length=16), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("changed_at", columns.instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["payment_id"], [f"{CHARGES}.payment_id"], name=op.f(f"fk_{CHANGES}_payment_id")
        ),
        sa.ForeignKeyConstraint(
            ["attempt_id"], [f"{ATTEMPTS}.id"], name=op.f(f"fk_{CHANGES}_attempt_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{CHANGES}")),
        **columns.TABLE,
    )
    op.create_index("ix_recurring_charge_changes_charge", CHANGES, ["payment_id", "id"])
    columns.add_column(
        DELIVERIES,
        sa.Column(COLUMN, columns.row_id(), nullable=True),
        foreign_key=sa.ForeignKey(f"{CHANGES}.id", name=op.f(KEY)),
    )
    _change_rule(OLD, NEW)


def downgrade():
    # The older version would send them as pings.
    op.execute(
        "DELETE FROM webhook_attempts WHERE delivery_id IN"
        f" (SELECT id FROM {DELIVERIES} WHERE {COLUMN} IS NOT NULL)"
    )
    op.execute(f"DELETE FROM {DELIVERIES} WHERE {COLUMN} IS NOT NULL")
    _change_rule(NEW, OLD)
    columns.drop_column(DELIVERIES, COLUMN, KEY)
    op.drop_table(CHANGES)
    op.drop_table(ATTEMPTS)
    op.drop_table(CHARGES)


def _change_rule(old, new):
    if op.get_bind().dialect.name == "sqlite":
        columns.rewrite_on_sqlite(DELIVERIES, (old, new))
        return
    op.drop_constraint(op.f(CHECK), DELIVERIES, type_="check")
    op.create_check_constraint(op.f(CHECK), DELIVERIES, new)
