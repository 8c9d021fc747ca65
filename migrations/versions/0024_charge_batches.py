"""Batches of charges with a due date, and the requests that wait in them.

Revision ID: 0024
Revises: 0023
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "charge_batches",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("merchant_id", columns.row_id(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("created_at", columns.instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_charge_batches_merchant_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge_batches")),
        **columns.TABLE,
    )
    op.create_index(
        "ix_charge_batches_number", "charge_batches", ["merchant_id", "number"], unique=True
    )
    op.create_index(
        "ix_charge_batches_created", "charge_batches", ["merchant_id", "created_at", "id"]
    )
    op.create_table(
        "charge_batch_items",
        sa.Column("batch_id", columns.row_id(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("merchant_id", columns.row_id(), nullable=False),
        sa.Column("txid", columns.exact(35), nullable=False),
        sa.Column("status", sa.String(length=8), nullable=False),
        sa.Column("problem", sa.JSON(), nullable=True),
        sa.Column("payment_id", columns.row_id(), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["charge_batches.id"], name=op.f("fk_charge_batch_items_batch_id")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_charge_batch_items_merchant_id")
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_charge_batch_items_payment_id")
        ),
        sa.PrimaryKeyConstraint("batch_id", "position", name=op.f("pk_charge_batch_items")),
        sa.UniqueConstraint("payment_id", name=op.f("uq_charge_batch_items_payment_id")),
        **columns.TABLE,
    )
    op.create_index(
        "ix_charge_batch_items_txid", "charge_batch_items", ["merchant_id", "txid"], unique=True
    )
    op.create_table(
        "charge_batch_requests",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("batch_id", columns.row_id(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("merchant_id", columns.row_id(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("is_revision", sa.Boolean(), nullable=False),
        sa.Column("author", sa.JSON(), nullable=False),
        sa.Column("sent_at", columns.instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id", "position"],
            ["charge_batch_items.batch_id", "charge_batch_items.position"],
            name=op.f("fk_charge_batch_requests_item"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_charge_batch_requests_merchant_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge_batch_requests")),
        **columns.TABLE,
        # A deleted id must not come again: a process that refuses a request deletes it by its id.
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_charge_batch_requests_item",
        "charge_batch_requests",
        ["batch_id", "position"],
        unique=True,
    )
    op.create_index("ix_charge_batch_requests_merchant", "charge_batch_requests", ["merchant_id"])


def downgrade():
    for name in ("requests", "items"):
        op.drop_table(f"charge_batch_{name}")
    op.drop_table("charge_batches")
