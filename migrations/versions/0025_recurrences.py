"""Recurrences of Pix Automático, their history and their locations.

Revision ID: 0025
Revises: 0024
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

CHECKS = {
    "status_known": "status IN ('created', 'approved', 'rejected', 'expired', 'cancelled')",
    "final_is_closed": "(status IN ('created', 'approved') AND closed_at IS NULL)"
    " OR (status IN ('rejected', 'expired', 'cancelled') AND closed_at IS NOT NULL)",
    "approved_by_a_journey": "(status = 'approved' AND journey IS NOT NULL)"
    " OR status = 'cancelled'"
    " OR (status IN ('created', 'rejected', 'expired') AND journey IS NULL)",
    "journey_known": "journey IS NULL OR journey BETWEEN 1 AND 4",
    "one_amount": "fixed_centavos IS NULL OR (fixed_centavos > 0 AND minimum_centavos IS NULL)",
    "minimum_range": "minimum_centavos IS NULL OR minimum_centavos >= 0",
    "sequence_positive": "sequence > 0",
    "days_in_order": "last_day IS NULL OR last_day >= first_day",
}


def upgrade():
    op.create_table(
        "recurrence_locations",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("token", columns.exact(32), nullable=False),
        sa.Column("merchant_id", columns.row_id(), nullable=False),
        sa.Column("created_at", columns.instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_recurrence_locations_merchant_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recurrence_locations")),
        sa.UniqueConstraint("token", name=op.f("uq_recurrence_locations_token")),
        **columns.TABLE,
    )
    op.create_index(
        "ix_recurrence_locations_merchant",
        "recurrence_locations",
        ["merchant_id", "created_at", "id"],
    )
    op.create_table(
        "recurrences",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("id_rec", columns.exact(29), nullable=False),
        sa.Column("merchant_id", columns.row_id(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("contract", sa.String(length=35), nullable=False),
        sa.Column("subject", sa.String(length=35), nullable=True),
        sa.Column("debtor_name", sa.String(length=140), nullable=True),
        sa.Column("debtor_document", sa.String(length=14), nullable=True),
        sa.Column("agreement_name", columns.exact(60), nullable=True),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.Column("periodicity", sa.String(length=16), nullable=False),
        sa.Column("allows_retries", sa.Boolean(), nullable=False),
        sa.Column("fixed_centavos", sa.BigInteger(), nullable=True),
        sa.Column("minimum_centavos", sa.BigInteger(), nullable=True),
        sa.Column("location_id", columns.row_id(), nullable=True),
        sa.Column("activation_txid", columns.exact(35), nullable=True),
        sa.Column("journey", sa.Integer(), nullable=True),
        sa.Column("payer_document", sa.String(length=14), nullable=True),
        sa.Column("payer_ispb", columns.exact(8), nullable=True),
        sa.Column("payer_municipality", columns.exact(7), nullable=True),
        sa.Column("closing_party", sa.String(length=16), nullable=True),
        sa.Column("closing_code", columns.exact(4), nullable=True),
        sa.Column("closing_text", sa.String(length=400), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("created_at", columns.instant(), nullable=False),
        sa.Column("updated_at", columns.instant(), nullable=False),
        sa.Column("closed_at", columns.instant(), nullable=True),
        *[
            sa.CheckConstraint(rule, name=op.f(f"ck_recurrences_{name}"))
            for name, rule in CHECKS.items()
        ],
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_recurrences_merchant_id")
        ),
        sa.ForeignKeyConstraint(
            ["location_id"], ["recurrence_locations.id"], name=op.f("fk_recurrences_location_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recurrences")),
        sa.UniqueConstraint("id_rec", name=op.f("uq_recurrences_id_rec")),
        sa.UniqueConstraint("location_id", name=op.f("uq_recurrences_location_id")),
        **columns.TABLE,
    )
    op.create_index("ix_recurrences_merchant", "recurrences", ["merchant_id", "created_at", "id"])
    op.create_index("ix_recurrences_debtor", "recurrences", ["debtor_document"])
    op.create_index("ix_recurrences_payer", "recurrences", ["payer_document"])
    op.create_table(
        "recurrence_changes",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("recurrence_id", columns.row_id(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("changed_at", columns.instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["recurrence_id"], ["recurrences.id"], name=op.f("fk_recurrence_changes_recurrence_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recurrence_changes")),
        **columns.TABLE,
    )
    op.create_index(
        "ix_recurrence_changes_recurrence", "recurrence_changes", ["recurrence_id", "id"]
    )


def downgrade():
    op.drop_table("recurrence_changes")
    op.drop_table("recurrences")
    op.drop_table("recurrence_locations")
