"""Callbacks of API Pix, the payer's message, and the index of the list of Pix.

Revision ID: 0020
Revises: 0019
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade():
    columns.add_column(
        "webhook_endpoints",
        sa.Column("kind", sa.String(length=16), server_default="events", nullable=False),
    )
    columns.add_column(
        "webhook_endpoints",
        sa.Column("pix_key", columns.exact(77), nullable=True),
        ck_webhook_endpoints_kind_has_its_key=(
            "(kind = 'events' AND pix_key IS NULL) OR (kind = 'pix'"
            " AND (pix_key IS NOT NULL OR deleted_at IS NOT NULL))"
        ),
    )
    op.create_index(
        "ix_webhook_endpoints_pix_key", "webhook_endpoints", ["merchant_id", "pix_key"], unique=True
    )
    columns.add_column("receipts", sa.Column("payer_message", sa.String(length=140)))
    op.create_index(
        "ix_receipts_settled", "receipts", ["merchant_id", "verdict", "paid_at", "id"]
    )


def downgrade():
    op.drop_index("ix_receipts_settled", table_name="receipts")
    columns.drop_column("receipts", "payer_message")
    # The rows of this kind have no place in the older schema; a job deletes their deliveries.
    endpoints = sa.table(
        "webhook_endpoints", sa.column("kind"), sa.column("deleted_at"), sa.column("enabled")
    )
    pix = endpoints.update().where(endpoints.c.kind == "pix", endpoints.c.deleted_at.is_(None))
    op.execute(pix.values(deleted_at=sa.func.current_timestamp(), enabled=sa.false()))
    op.drop_index("ix_webhook_endpoints_pix_key", table_name="webhook_endpoints")
    columns.drop_column("webhook_endpoints", "pix_key", "ck_webhook_endpoints_kind_has_its_key")
    columns.drop_column("webhook_endpoints", "kind")
