"""Outgoing mail, and which merchants get one for each payment.

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-28
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "outgoing_mails",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("public_id", columns.exact(32), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("recipient", sa.String(length=254), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", columns.instant(), nullable=False),
        sa.Column("next_try_at", columns.instant(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent_at", columns.instant(), nullable=True),
        sa.Column("refused_at", columns.instant(), nullable=True),
        sa.Column("error", sa.String(length=200), nullable=True),
        sa.CheckConstraint(
            "kind IN ('password-reset', 'payment-received', 'receipt')",
            name=op.f("ck_outgoing_mails_kind_known"),
        ),
        sa.CheckConstraint(
            "next_try_at IS NULL OR (sent_at IS NULL AND refused_at IS NULL)",
            name=op.f("ck_outgoing_mails_no_try_after_the_end"),
        ),
        sa.CheckConstraint("tries >= 0", name=op.f("ck_outgoing_mails_tries_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outgoing_mails")),
        sa.UniqueConstraint("public_id", name=op.f("uq_outgoing_mails_public_id")),
        **columns.TABLE,
    )
    op.create_index("ix_outgoing_mails_age", "outgoing_mails", ["created_at", "id"], unique=False)
    op.create_index("ix_outgoing_mails_due", "outgoing_mails", ["next_try_at", "id"], unique=False)
    op.add_column(
        "accounts",
        sa.Column("mails_payments", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.create_index("ix_accounts_email", "accounts", ["email"], unique=False)


def downgrade():
    op.drop_index("ix_accounts_email", table_name="accounts")
    op.drop_column("accounts", "mails_payments")
    op.drop_index("ix_outgoing_mails_due", table_name="outgoing_mails")
    op.drop_index("ix_outgoing_mails_age", table_name="outgoing_mails")
    op.drop_table("outgoing_mails")
