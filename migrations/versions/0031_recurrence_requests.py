"""Requests to payers to confirm a recurrence, and their history.

Revision ID: 0031
Revises: 0030
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

CHECKS = {
    "status_known": "status IN ('created', 'sent', 'received', 'accepted', 'rejected', 'expired',"
    " 'cancelled')",
    "final_is_closed": "(status IN ('created', 'sent', 'received') AND closed_at IS NULL"
    " AND open_recurrence_id = recurrence_id)"
    " OR (status IN ('accepted', 'rejected', 'expired', 'cancelled')"
    " AND closed_at IS NOT NULL AND open_recurrence_id IS NULL)",
}


def upgrade():
    op.create_table(
        "recurrence_requests",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("id_solic_rec", columns.exact(29), nullable=False),
        sa.Column("recurrence_id", columns.row_id(), nullable=False),
        sa.Column("open_recurrence_id", columns.row_id(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("expires_at", columns.instant(), nullable=False),
        sa.Column("payer_ispb", columns.exact(8), nullable=False),
        sa.Column("payer_document", sa.String(length=14), nullable=True),
        sa.Column("payer_account", sa.String(length=20), nullable=True),
        sa.Column("payer_branch", sa.String(length=4), nullable=True),
        sa.Column("created_at", columns.instant(), nullable=False),
        sa.Column("closed_at", columns.instant(), nullable=True),
        *[
            sa.CheckConstraint(rule, name=op.f(f"ck_recurrence_requests_{name}"))
            for name, rule in CHECKS.items()
        ],
        sa.ForeignKeyConstraint(
            ["recurrence_id"],
            ["recurrences.id"],
            name=op.f("fk_recurrence_requests_recurrence_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recurrence_requests")),
        sa.UniqueConstraint("id_solic_rec", name=op.f("uq_recurrence_requests_id_solic_rec")),
        sa.UniqueConstraint(
            "open_recurrence_id", name=op.f("uq_recurrence_requests_open_recurrence_id")
        ),
        **columns.TABLE,
    )
    op.create_index("ix_recurrence_requests_due", "recurrence_requests", ["status", "expires_at"])
    op.create_index("ix_recurrence_requests_payer", "recurrence_requests", ["payer_document"])
    op.create_index("ix_recurrence_requests_recurrence", "recurrence_requests", ["recurrence_id"])
    op.create_table(
        "recurrence_request_changes",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("request_id", columns.row_id(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("changed_at", columns.instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["recurrence_requests.id"],
            name=op.f("fk_recurrence_request_changes_request_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recurrence_request_changes")),
        **columns.TABLE,
    )
    op.create_index(
        "ix_recurrence_request_changes_request",
        "recurrence_request_changes",
        ["request_id", "id"],
    )


def downgrade():
    op.drop_table("recurrence_request_changes")
    op.drop_table("recurrence_requests")
