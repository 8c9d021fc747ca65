"""Accounts, payers, known keys, transfers, notices, refunds.

Revision ID: bank_0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "bank_0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
}


def _exact(length: int) -> sa.String:
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(binary, "mysql", "mariadb")


def _instant() -> sa.DateTime:
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def _id() -> sa.BigInteger:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the bank's tables."""
    op.create_table(
        "bank_accounts",
        sa.Column("id", _id(), nullable=False),
        sa.Column("name", _exact(100), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("opened_at", _instant(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('payer', 'payee', 'opening')", name=op.f("ck_bank_accounts_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_accounts")),
        sa.UniqueConstraint("name", name=op.f("uq_bank_accounts_name")),
        **_TABLE,
    )
    _create_payers()
    _create_known_keys()
    _create_transfers()
    _create_notices()
    _create_refunds()
    _create_chaos()


def _create_payers() -> None:
    op.create_table(
        "bank_payers",
        sa.Column("id", _id(), nullable=False),
        sa.Column("handle", _exact(32), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("document", sa.String(14), nullable=False),
        sa.Column("card_number", _exact(19), nullable=False),
        sa.Column("pin_hash", sa.String(255), nullable=False),
        sa.Column("failed_pins", sa.Integer, nullable=False),
        sa.Column("limit_centavos", sa.BigInteger, nullable=False),
        sa.Column("account_id", _id(), nullable=False),
        sa.CheckConstraint("limit_centavos > 0", name=op.f("ck_bank_payers_limit")),
        sa.CheckConstraint("failed_pins >= 0", name=op.f("ck_bank_payers_failed_pins")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["bank_accounts.id"], name=op.f("fk_bank_payers_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_payers")),
        sa.UniqueConstraint("account_id", name=op.f("uq_bank_payers_account_id")),
        sa.UniqueConstraint("card_number", name=op.f("uq_bank_payers_card_number")),
        sa.UniqueConstraint("handle", name=op.f("uq_bank_payers_handle")),
        **_TABLE,
    )


def _create_known_keys() -> None:
    op.create_table(
        "bank_known_keys",
        sa.Column("id", _id(), nullable=False),
        sa.Column("key", _exact(77), nullable=False),
        sa.Column("host", _exact(77), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("city", sa.String(40)),
        sa.Column("learnt_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_known_keys")),
        sa.UniqueConstraint("key", name=op.f("uq_bank_known_keys_key")),
        **_TABLE,
    )


def _create_transfers() -> None:
    op.create_table(
        "bank_transfers",
        sa.Column("id", _id(), nullable=False),
        sa.Column("identifier", _exact(32), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("debit_account_id", _id(), nullable=False),
        sa.Column("credit_account_id", _id(), nullable=False),
        sa.Column("amount_centavos", sa.BigInteger, nullable=False),
        sa.Column("made_at", _instant(), nullable=False),
        sa.Column("txid", _exact(35)),
        sa.Column("reference", _exact(25)),
        sa.Column("payee_name", sa.String(100)),
        sa.Column("payee_key", _exact(77)),
        sa.Column("reverses_id", _id()),
        sa.Column("refunds_id", _id()),
        sa.Column("request_key", _exact(64)),
        sa.Column("request_hash", _exact(64)),
        sa.CheckConstraint(
            "kind IN ('payment', 'return', 'refund', 'opening')",
            name=op.f("ck_bank_transfers_kind"),
        ),
        sa.CheckConstraint("amount_centavos > 0", name=op.f("ck_bank_transfers_amount")),
        sa.CheckConstraint(
            "debit_account_id <> credit_account_id", name=op.f("ck_bank_transfers_two_accounts")
        ),
        sa.CheckConstraint(
            "(kind = 'return') = (reverses_id IS NOT NULL)", name=op.f("ck_bank_transfers_reversal")
        ),
        sa.CheckConstraint(
            "(kind = 'refund') = (refunds_id IS NOT NULL)", name=op.f("ck_bank_transfers_refund")
        ),
        sa.ForeignKeyConstraint(
            ["debit_account_id"],
            ["bank_accounts.id"],
            name=op.f("fk_bank_transfers_debit_account_id"),
        ),
        sa.ForeignKeyConstraint(
            ["credit_account_id"],
            ["bank_accounts.id"],
            name=op.f("fk_bank_transfers_credit_account_id"),
        ),
        sa.ForeignKeyConstraint(
            ["reverses_id"], ["bank_transfers.id"], name=op.f("fk_bank_transfers_reverses_id")
        ),
        sa.ForeignKeyConstraint(
            ["refunds_id"], ["bank_transfers.id"], name=op.f("fk_bank_transfers_refunds_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_transfers")),
        sa.UniqueConstraint("identifier", name=op.f("uq_bank_transfers_identifier")),
        sa.UniqueConstraint("request_key", name=op.f("uq_bank_transfers_request_key")),
        sa.UniqueConstraint("reverses_id", name=op.f("uq_bank_transfers_reverses_id")),
        **_TABLE,
    )
    for columns in (
        ["debit_account_id", "id"],
        ["credit_account_id", "id"],
        ["kind", "made_at", "id"],
        ["refunds_id"],
        ["txid"],
    ):
        name = op.f(f"ix_bank_transfers_{'_'.join(columns)}")
        op.create_index(name, "bank_transfers", columns)


def _create_notices() -> None:
    op.create_table(
        "bank_notices",
        sa.Column("id", _id(), nullable=False),
        sa.Column("transfer_id", _id(), nullable=False),
        sa.Column("message_id", _exact(64), nullable=False),
        sa.Column("body", sa.LargeBinary(4096), nullable=False),
        sa.Column("scenario", sa.String(24), nullable=False),
        sa.Column("copies", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", _instant(), nullable=False),
        sa.Column("answer_status", sa.Integer),
        sa.Column("answer_code", sa.String(64)),
        sa.Column("answer_detail", sa.String(500)),
        sa.Column("verdict", sa.String(10)),
        sa.Column("done_at", _instant()),
        sa.CheckConstraint("copies BETWEEN 1 AND 10", name=op.f("ck_bank_notices_copies")),
        sa.CheckConstraint(
            "verdict IN ('confirmed', 'returned')", name=op.f("ck_bank_notices_verdict")
        ),
        sa.CheckConstraint(
            "(done_at IS NULL) = (verdict IS NULL)", name=op.f("ck_bank_notices_done")
        ),
        sa.ForeignKeyConstraint(
            ["transfer_id"], ["bank_transfers.id"], name=op.f("fk_bank_notices_transfer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_notices")),
        sa.UniqueConstraint("message_id", name=op.f("uq_bank_notices_message_id")),
        sa.UniqueConstraint("transfer_id", name=op.f("uq_bank_notices_transfer_id")),
        **_TABLE,
    )
    for columns in (["done_at", "next_attempt_at"], ["scenario", "done_at"]):
        name = op.f(f"ix_bank_notices_{'_'.join(columns)}")
        op.create_index(name, "bank_notices", columns)


def _create_refunds() -> None:
    op.create_table(
        "bank_refunds",
        sa.Column("id", _id(), nullable=False),
        sa.Column("refund_id", _exact(35), nullable=False),
        sa.Column("return_id", _exact(32), nullable=False),
        sa.Column("payment_id", _id(), nullable=False),
        sa.Column("amount_centavos", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("requested_at", _instant(), nullable=False),
        sa.Column("due_at", _instant(), nullable=False),
        sa.Column("settled_at", _instant()),
        sa.Column("transfer_id", _id()),
        sa.CheckConstraint("amount_centavos > 0", name=op.f("ck_bank_refunds_amount")),
        sa.CheckConstraint(
            "status IN ('processing', 'done', 'failed')", name=op.f("ck_bank_refunds_status")
        ),
        sa.CheckConstraint(
            "(status = 'done') = (transfer_id IS NOT NULL)", name=op.f("ck_bank_refunds_transfer")
        ),
        sa.CheckConstraint(
            "(status = 'processing') = (settled_at IS NULL)", name=op.f("ck_bank_refunds_settled")
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["bank_transfers.id"], name=op.f("fk_bank_refunds_payment_id")
        ),
        sa.ForeignKeyConstraint(
            ["transfer_id"], ["bank_transfers.id"], name=op.f("fk_bank_refunds_transfer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_refunds")),
        sa.UniqueConstraint("refund_id", name=op.f("uq_bank_refunds_refund_id")),
        sa.UniqueConstraint("return_id", name=op.f("uq_bank_refunds_return_id")),
        sa.UniqueConstraint("transfer_id", name=op.f("uq_bank_refunds_transfer_id")),
        **_TABLE,
    )
    for columns in (["payment_id"], ["status", "due_at"]):
        name = op.f(f"ix_bank_refunds_{'_'.join(columns)}")
        op.create_index(name, "bank_refunds", columns)


def _create_chaos() -> None:
    op.create_table(
        "bank_chaos",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("mix", sa.String(500), nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("drawn", sa.Integer, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_bank_chaos_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_chaos")),
        **_TABLE,
    )


def downgrade() -> None:
    """Drop the bank's tables."""
    for table in (
        "bank_chaos",
        "bank_refunds",
        "bank_notices",
        "bank_transfers",
        "bank_known_keys",
        "bank_payers",
        "bank_accounts",
    ):
        op.drop_table(table)
