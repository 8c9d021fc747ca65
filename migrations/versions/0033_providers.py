"""Accounts at real banks, their charges, and money there that settles no payment.

Revision ID: 0033
Revises: 0032
Create Date: 2026-11-30
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

ACCOUNTS, CHARGES = "provider_accounts", "provider_charges"


def upgrade():
    _create_accounts()
    _create_charges()
    _add("payments", "provider_account_id", ACCOUNTS)
    _add("receipts", "provider_account_id", ACCOUNTS)
    columns.add_column("receipts", sa.Column("misfit", sa.String(length=40)))
    _add("receipts", "meant_payment_id", "payments")
    op.create_index("ix_receipts_meant", "receipts", ["meant_payment_id", "id"])
    columns.add_column(
        "refunds", sa.Column("by_bank", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    columns.add_column("refunds", sa.Column("nature", sa.String(length=32)))
    for name in ("live_provider_id", "test_provider_id"):
        columns.add_column("accounts", sa.Column(name, sa.BigInteger()))


def downgrade():
    for name in ("test_provider_id", "live_provider_id"):
        columns.drop_column("accounts", name)
    columns.drop_column("refunds", "nature")
    columns.drop_column("refunds", "by_bank")
    # The foreign key first: MySQL needs its index until then.
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint(op.f("fk_receipts_meant_payment_id"), "receipts", type_="foreignkey")
    op.drop_index("ix_receipts_meant", "receipts")
    op.drop_column("receipts", "meant_payment_id")
    columns.drop_column("receipts", "misfit")
    columns.drop_column("receipts", "provider_account_id", "fk_receipts_provider_account_id")
    columns.drop_column("payments", "provider_account_id", "fk_payments_provider_account_id")
    op.drop_table(CHARGES)
    op.drop_table(ACCOUNTS)


def _add(table, name, target):
    key = sa.ForeignKey(f"{target}.id", name=op.f(f"fk_{table}_{name}"))
    columns.add_column(table, sa.Column(name, columns.row_id()), foreign_key=key)


def _create_accounts():
    op.create_table(
        ACCOUNTS,
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("public_id", columns.exact(32), nullable=False),
        sa.Column("merchant_id", columns.row_id(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("profile", sa.String(length=32), nullable=False),
        sa.Column("environment", sa.String(length=4), nullable=False),
        sa.Column("pix_key", columns.exact(77), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("token_sha256", columns.exact(64), nullable=False),
        sa.Column("overrides", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("certificate_ends_at", columns.instant(), nullable=True),
        sa.Column("warned_days", sa.Integer(), nullable=True),
        sa.Column("created_at", columns.instant(), nullable=False),
        sa.Column("removed_at", columns.instant(), nullable=True),
        sa.Column("answered_at", columns.instant(), nullable=True),
        sa.Column("fault", sa.String(length=64), nullable=True),
        sa.Column("fault_at", columns.instant(), nullable=True),
        sa.Column("clock_offset_ms", sa.Integer(), nullable=True),
        sa.Column("callback_came_at", columns.instant(), nullable=True),
        sa.Column("callback_checked_at", columns.instant(), nullable=True),
        sa.Column("callback_fault", sa.String(length=64), nullable=True),
        sa.Column("window_wanted_at", columns.instant(), nullable=True),
        sa.CheckConstraint(
            "environment IN ('test', 'live')", name=op.f(f"ck_{ACCOUNTS}_environment_known")
        ),
        sa.CheckConstraint("version > 0", name=op.f(f"ck_{ACCOUNTS}_version_positive")),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f(f"fk_{ACCOUNTS}_merchant_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{ACCOUNTS}")),
        sa.UniqueConstraint("public_id", name=op.f(f"uq_{ACCOUNTS}_public_id")),
        sa.UniqueConstraint("token_sha256", name=op.f(f"uq_{ACCOUNTS}_token_sha256")),
        **columns.TABLE,
    )
    op.create_index("ix_provider_accounts_merchant", ACCOUNTS, ["merchant_id", "id"])


def _create_charges():
    op.create_table(
        CHARGES,
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("payment_id", columns.row_id(), nullable=False),
        sa.Column("account_id", columns.row_id(), nullable=False),
        sa.Column("txid", columns.exact(35), nullable=False),
        sa.Column("pix_key", columns.exact(77), nullable=False),
        sa.Column("amount_centavos", sa.BigInteger(), nullable=False),
        sa.Column("lifetime_seconds", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", columns.instant(), nullable=False),
        sa.Column("bank_created_at", columns.instant(), nullable=True),
        sa.Column("location", sa.String(length=255), nullable=True),
        sa.Column("next_at", columns.instant(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fault", sa.String(length=64), nullable=True),
        sa.CheckConstraint(
            "status IN ('opening', 'open', 'refused', 'closing', 'closed', 'paid')",
            name=op.f(f"ck_{CHARGES}_status_known"),
        ),
        sa.CheckConstraint("amount_centavos > 0", name=op.f(f"ck_{CHARGES}_amount_positive")),
        sa.CheckConstraint("lifetime_seconds > 0", name=op.f(f"ck_{CHARGES}_lifetime_positive")),
        sa.CheckConstraint("attempts >= 0", name=op.f(f"ck_{CHARGES}_attempts_not_negative")),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f(f"fk_{CHARGES}_payment_id")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], [f"{ACCOUNTS}.id"], name=op.f(f"fk_{CHARGES}_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{CHARGES}")),
        sa.UniqueConstraint("payment_id", name=op.f(f"uq_{CHARGES}_payment_id")),
        **columns.TABLE,
    )
    op.create_index("ix_provider_charges_txid", CHARGES, ["account_id", "txid"], unique=True)
    op.create_index("ix_provider_charges_due", CHARGES, ["next_at", "id"])
    op.create_index("ix_provider_charges_status", CHARGES, ["status", "id"])
