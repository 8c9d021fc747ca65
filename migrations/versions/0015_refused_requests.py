"""Refused requests of merchants' programs.

Revision ID: 0015
Revises: 0014
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "refused_requests",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("account_id", columns.row_id(), nullable=False),
        sa.Column("key_id", columns.row_id(), nullable=True),
        sa.Column("refused_at", columns.instant(), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("path", sa.String(length=200), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("request_id", columns.exact(128), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.CheckConstraint(
            "status BETWEEN 400 AND 599", name=op.f("ck_refused_requests_status_is_refusal")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_refused_requests_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["key_id"], ["api_keys.id"], name=op.f("fk_refused_requests_key_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refused_requests")),
        **columns.TABLE,
    )
    op.create_index(
        "ix_refused_requests_account", "refused_requests", ["account_id", "id"], unique=False
    )
    op.create_index(
        "ix_refused_requests_age", "refused_requests", ["refused_at", "id"], unique=False
    )


def downgrade():
    op.drop_table("refused_requests")
