"""Webhooks, and the feed of events.

Events from before this revision get no position: what they looked like was not stored.

Revision ID: 0017
Revises: 0016
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "feed_counters",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed_counters")),
        **columns.TABLE,
    )
    counters = sa.table("feed_counters", sa.column("id"), sa.column("position"))
    op.execute(counters.insert().values(id=1, position=0))
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("public_id", columns.exact(32), nullable=False),
        sa.Column("merchant_id", columns.row_id(), nullable=False),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("description", sa.String(length=140), nullable=True),
        sa.Column("event_types", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("secret", sa.String(length=200), nullable=False),
        sa.Column("previous_secret", sa.String(length=200), nullable=True),
        sa.Column("previous_until", columns.instant(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("is_gone", sa.Boolean(), nullable=False),
        sa.Column("failing_since", columns.instant(), nullable=True),
        sa.Column("paused_at", columns.instant(), nullable=True),
        sa.Column("created_at", columns.instant(), nullable=False),
        sa.Column("deleted_at", columns.instant(), nullable=True),
        sa.CheckConstraint(
            "(previous_secret IS NULL AND previous_until IS NULL) OR (previous_secret IS NOT NULL AND previous_until IS NOT NULL)",
            name=op.f("ck_webhook_endpoints_previous_secret_has_an_end"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_webhook_endpoints_merchant_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
        sa.UniqueConstraint("public_id", name=op.f("uq_webhook_endpoints_public_id")),
        **columns.TABLE,
    )
    op.create_index(
        "ix_webhook_endpoints_deleted", "webhook_endpoints", ["deleted_at", "id"], unique=False
    )
    op.create_index(
        "ix_webhook_endpoints_merchant", "webhook_endpoints", ["merchant_id", "id"], unique=False
    )
    op.create_index(
        "ix_webhook_endpoints_paused", "webhook_endpoints", ["paused_at", "id"], unique=False
    )
    op.create_table(
        "feed_entries",
        sa.Column("position", columns.row_id(), autoincrement=False, nullable=False),
        sa.Column("public_id", columns.exact(32), nullable=False),
        sa.Column("event_id", columns.row_id(), nullable=False),
        sa.Column("merchant_id", columns.row_id(), nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("occurred_at", columns.instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["payment_events.id"], name=op.f("fk_feed_entries_event_id")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_feed_entries_merchant_id")
        ),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_feed_entries")),
        sa.UniqueConstraint("event_id", name=op.f("uq_feed_entries_event_id")),
        sa.UniqueConstraint("public_id", name=op.f("uq_feed_entries_public_id")),
        **columns.TABLE,
    )
    op.create_index(
        "ix_feed_entries_merchant", "feed_entries", ["merchant_id", "position"], unique=False
    )
    op.create_index(
        "ix_feed_entries_span", "feed_entries", ["merchant_id", "occurred_at"], unique=False
    )
    op.create_index(
        "ix_feed_entries_type", "feed_entries", ["merchant_id", "type", "position"], unique=False
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("public_id", columns.exact(32), nullable=False),
        sa.Column("endpoint_id", columns.row_id(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("feed_position", columns.row_id(), nullable=True),
        sa.Column("payment_id", columns.row_id(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", columns.instant(), nullable=False),
        sa.Column("due_at", columns.instant(), nullable=True),
        sa.Column("lease", columns.exact(32), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("ended_at", columns.instant(), nullable=True),
        sa.CheckConstraint(
            "(kind = 'ping' AND feed_position IS NULL) OR (kind <> 'ping' AND feed_position IS NOT NULL)",
            name=op.f("ck_webhook_deliveries_has_an_event_or_is_a_ping"),
        ),
        sa.CheckConstraint(
            "(status = 'pending' AND due_at IS NOT NULL AND ended_at IS NULL) OR (status <> 'pending' AND due_at IS NULL AND ended_at IS NOT NULL)",
            name=op.f("ck_webhook_deliveries_due_until_the_end"),
        ),
        sa.CheckConstraint(
            "kind IN ('event', 'ping', 'redelivery', 'replay')",
            name=op.f("ck_webhook_deliveries_kind_known"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'delivered', 'failed')",
            name=op.f("ck_webhook_deliveries_status_known"),
        ),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["webhook_endpoints.id"],
            name=op.f("fk_webhook_deliveries_endpoint_id"),
        ),
        sa.ForeignKeyConstraint(
            ["feed_position"],
            ["feed_entries.position"],
            name=op.f("fk_webhook_deliveries_feed_position"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint("public_id", name=op.f("uq_webhook_deliveries_public_id")),
        **columns.TABLE,
    )
    op.create_index(
        "ix_webhook_deliveries_age", "webhook_deliveries", ["created_at", "id"], unique=False
    )
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["endpoint_id", "due_at", "id"],
        unique=False,
    )
    op.create_index("ix_webhook_deliveries_lease", "webhook_deliveries", ["lease"], unique=False)
    op.create_index(
        "ix_webhook_deliveries_newest", "webhook_deliveries", ["endpoint_id", "id"], unique=False
    )
    op.create_index(
        "ix_webhook_deliveries_order",
        "webhook_deliveries",
        ["endpoint_id", "payment_id", "id"],
        unique=False,
    )
    op.create_table(
        "webhook_attempts",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("delivery_id", columns.row_id(), nullable=False),
        sa.Column("at", columns.instant(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=40), nullable=True),
        sa.Column("detail", sa.String(length=200), nullable=True),
        sa.Column("response_headers", sa.JSON(), nullable=False),
        sa.Column("response_body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["webhook_deliveries.id"], name=op.f("fk_webhook_attempts_delivery_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_attempts")),
        **columns.TABLE,
    )
    op.create_index(
        "ix_webhook_attempts_delivery", "webhook_attempts", ["delivery_id", "id"], unique=False
    )
    op.add_column("payment_events", sa.Column("unnumbered", sa.Boolean(), nullable=True))
    op.create_index(
        "ix_payment_events_unnumbered", "payment_events", ["unnumbered", "id"], unique=False
    )


def downgrade():
    op.drop_index("ix_payment_events_unnumbered", table_name="payment_events")
    op.drop_column("payment_events", "unnumbered")
    # A table goes with its indexes; MySQL refuses to drop one that a foreign key needs.
    op.drop_table("webhook_attempts")
    op.drop_table("webhook_deliveries")
    op.drop_table("feed_entries")
    op.drop_table("webhook_endpoints")
    op.drop_table("feed_counters")
