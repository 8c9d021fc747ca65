"""Accounts, payments, receipts, events, idempotency and signing keys: the first schema.

Revision ID: 0001
Revises:
Create Date: 2026-11-20
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLE = {
    f"{engine}_{option}": value
    for engine in ("mysql", "mariadb")
    for option, value in (
        ("engine", "InnoDB"),
        ("charset", "utf8mb4"),
        ("collate", "utf8mb4_unicode_ci"),
    )
}


def row_id():
    """An automatic row id; SQLite increments only INTEGER columns."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def instant():
    """UTC with microseconds; a plain DATETIME of MySQL has none."""
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def exact(length):
    """Text compared byte for byte; `utf8mb4_bin` would ignore trailing spaces."""
    dialect = op.get_bind().dialect
    collation = "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation=collation)
    return sa.String(length).with_variant(binary, "mysql", "mariadb")


def upgrade():
    op.create_table(
        "accounts",
        sa.Column("id", row_id(), nullable=False),
        sa.Column("login", exact(64), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("city", sa.String(length=60), nullable=False),
        sa.Column("pix_key", exact(77), nullable=False),
        sa.Column("grace_seconds", sa.Integer(), nullable=False),
        sa.Column("shop_url", sa.String(length=500), nullable=True),
        sa.Column("support_url", sa.String(length=500), nullable=True),
        sa.Column("logo_url", sa.String(length=500), nullable=True),
        sa.Column("created_at", instant(), nullable=False),
        sa.CheckConstraint("grace_seconds >= 0", name=op.f("ck_accounts_grace_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("login", name=op.f("uq_accounts_login")),
        sa.UniqueConstraint("pix_key", name=op.f("uq_accounts_pix_key")),
        **TABLE,
    )
    op.create_table(
        "signing_keys",
        sa.Column("id", row_id(), nullable=False),
        sa.Column("kid", exact(64), nullable=False),
        sa.Column("sealed_private_pem", sa.Text(), nullable=False),
        sa.Column("certificate_pem", sa.Text(), nullable=False),
        sa.Column("created_at", instant(), nullable=False),
        sa.Column("retired_at", instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_keys")),
        sa.UniqueConstraint("kid", name=op.f("uq_signing_keys_kid")),
        **TABLE,
    )
    op.create_table(
        "api_keys",
        sa.Column("id", row_id(), nullable=False),
        sa.Column("account_id", row_id(), nullable=False),
        sa.Column("key_sha256", exact(64), nullable=False),
        sa.Column("label", sa.String(length=60), nullable=False),
        sa.Column("created_at", instant(), nullable=False),
        sa.Column("revoked_at", instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_api_keys_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_sha256", name=op.f("uq_api_keys_key_sha256")),
        **TABLE,
    )
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_keys_account_id"), ["account_id"], unique=False)

    op.create_table(
        "idempotent_requests",
        sa.Column("id", row_id(), nullable=False),
        sa.Column("merchant_id", row_id(), nullable=False),
        sa.Column("key", exact(255), nullable=False),
        sa.Column("operation", sa.String(length=120), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("location", sa.String(length=500), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("created_at", instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_idempotent_requests_merchant_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotent_requests")),
        sa.UniqueConstraint(
            "merchant_id", "key", name=op.f("uq_idempotent_requests_merchant_id_key")
        ),
        **TABLE,
    )
    with op.batch_alter_table("idempotent_requests", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_idempotent_requests_created_at"), ["created_at"], unique=False
        )

    op.create_table(
        "payments",
        sa.Column("id", row_id(), nullable=False),
        sa.Column("txid", exact(35), nullable=False),
        sa.Column("watch_code", exact(32), nullable=False),
        sa.Column("merchant_id", row_id(), nullable=False),
        sa.Column("amount_centavos", sa.BigInteger(), nullable=False),
        sa.Column("refunded_centavos", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.String(length=140), nullable=True),
        sa.Column("order_id", exact(64), nullable=True),
        sa.Column(
            "live_order_id",
            exact(64),
            sa.Computed(
                "CASE WHEN status = 'pending' OR status = 'confirmed' THEN order_id END",
                persisted=True,
            ),
            nullable=True,
        ),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("br_code", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", instant(), nullable=False),
        sa.Column("expires_at", instant(), nullable=False),
        sa.Column("resolved_at", instant(), nullable=True),
        sa.Column("end_to_end_id", exact(128), nullable=True),
        sa.Column("refusal", sa.String(length=40), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("renewed_from_id", row_id(), nullable=True),
        sa.CheckConstraint(
            "(status = 'pending' AND resolved_at IS NULL) OR (status <> 'pending' AND resolved_at IS NOT NULL)",
            name=op.f("ck_payments_pending_is_unresolved"),
        ),
        sa.CheckConstraint(
            "refunded_centavos = 0 OR status = 'confirmed'",
            name=op.f("ck_payments_refunded_only_if_confirmed"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'confirmed', 'expired', 'cancelled')",
            name=op.f("ck_payments_status_known"),
        ),
        sa.CheckConstraint("amount_centavos > 0", name=op.f("ck_payments_amount_positive")),
        sa.CheckConstraint(
            "expires_at > created_at", name=op.f("ck_payments_expires_after_creation")
        ),
        sa.CheckConstraint(
            "refunded_centavos >= 0 AND refunded_centavos <= amount_centavos",
            name=op.f("ck_payments_refunded_within_amount"),
        ),
        sa.CheckConstraint(
            "(status = 'confirmed' AND end_to_end_id IS NOT NULL) OR (status <> 'confirmed' AND end_to_end_id IS NULL)",
            name=op.f("ck_payments_confirmed_by_a_receipt"),
        ),
        sa.CheckConstraint("sequence > 0", name=op.f("ck_payments_sequence_positive")),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_payments_merchant_id")
        ),
        sa.ForeignKeyConstraint(
            ["renewed_from_id"], ["payments.id"], name=op.f("fk_payments_renewed_from_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
        sa.UniqueConstraint(
            "merchant_id", "live_order_id", name=op.f("uq_payments_merchant_id_live_order_id")
        ),
        sa.UniqueConstraint("renewed_from_id", name=op.f("uq_payments_renewed_from_id")),
        sa.UniqueConstraint("txid", name=op.f("uq_payments_txid")),
        sa.UniqueConstraint("watch_code", name=op.f("uq_payments_watch_code")),
        **TABLE,
    )
    with op.batch_alter_table("payments", schema=None) as batch_op:
        batch_op.create_index("ix_payments_due", ["status", "expires_at", "id"], unique=False)
        batch_op.create_index("ix_payments_merchant", ["merchant_id", "id"], unique=False)
        batch_op.create_index("ix_payments_order", ["merchant_id", "order_id"], unique=False)

    op.create_table(
        "payment_events",
        sa.Column("id", row_id(), nullable=False),
        sa.Column("payment_id", row_id(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("occurred_at", instant(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("relay_at", instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_payment_events_payment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_events")),
        **TABLE,
    )
    with op.batch_alter_table("payment_events", schema=None) as batch_op:
        batch_op.create_index("ix_payment_events_payment", ["payment_id", "id"], unique=False)
        batch_op.create_index("ix_payment_events_relay", ["relay_at", "id"], unique=False)

    op.create_table(
        "receipts",
        sa.Column("id", row_id(), nullable=False),
        sa.Column("end_to_end_id", exact(128), nullable=False),
        sa.Column("bank_payment_id", exact(64), nullable=False),
        sa.Column("payment_id", row_id(), nullable=True),
        sa.Column("merchant_id", row_id(), nullable=True),
        sa.Column("amount_centavos", sa.BigInteger(), nullable=False),
        sa.Column("paid_at", instant(), nullable=False),
        sa.Column("told_at", instant(), nullable=False),
        sa.Column("payer_name", sa.String(length=140), nullable=True),
        sa.Column("payer_document", sa.String(length=14), nullable=True),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column(
            "settles_payment_id",
            row_id(),
            sa.Computed("CASE WHEN verdict = 'accepted' THEN payment_id END", persisted=True),
            nullable=True,
        ),
        sa.CheckConstraint(
            "(verdict = 'accepted' AND reason IS NULL AND payment_id IS NOT NULL) OR (verdict = 'refused' AND reason IS NOT NULL)",
            name=op.f("ck_receipts_verdict_has_its_reason"),
        ),
        sa.CheckConstraint("amount_centavos > 0", name=op.f("ck_receipts_amount_positive")),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_receipts_merchant_id")
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_receipts_payment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipts")),
        sa.UniqueConstraint("end_to_end_id", name=op.f("uq_receipts_end_to_end_id")),
        sa.UniqueConstraint("settles_payment_id", name=op.f("uq_receipts_settles_payment_id")),
        **TABLE,
    )
    with op.batch_alter_table("receipts", schema=None) as batch_op:
        batch_op.create_index("ix_receipts_merchant", ["merchant_id", "id"], unique=False)
        batch_op.create_index("ix_receipts_payment", ["payment_id", "id"], unique=False)


def downgrade():
    # In reverse order. Each table's indexes are dropped with the table.
    for table in (
        "receipts",
        "payment_events",
        "payments",
        "idempotent_requests",
        "api_keys",
        "signing_keys",
        "accounts",
    ):
        op.drop_table(table)
