"""Clients of API Pix.

Revision ID: 0019
Revises: 0018
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "oauth_clients",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("client_id", columns.exact(64), nullable=False),
        sa.Column("account_id", columns.row_id(), nullable=False),
        sa.Column("secret_sha256", columns.exact(64), nullable=False),
        sa.Column("scopes", sa.String(length=500), nullable=False),
        sa.Column("label", sa.String(length=60), nullable=False),
        sa.Column("certificate_thumbprint", columns.exact(43), nullable=True),
        sa.Column("created_at", columns.instant(), nullable=False),
        sa.Column("last_used_at", columns.instant(), nullable=True),
        sa.Column("revoked_at", columns.instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_oauth_clients_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_clients")),
        sa.UniqueConstraint("client_id", name=op.f("uq_oauth_clients_client_id")),
        **columns.TABLE,
    )
    op.create_index(
        op.f("ix_oauth_clients_account_id"), "oauth_clients", ["account_id"], unique=False
    )


def downgrade():
    op.drop_table("oauth_clients")
