"""Requests to authorise a recurrence, charges of mandates, and the notices of failed charges.

Revision ID: bank_0006
Revises: bank_0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "bank_0006"
down_revision = "bank_0005"
branch_labels = None
depends_on = None

_TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
}


def _exact_text(length: int) -> sa.String:
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(binary, "mysql", "mariadb")


def _instant() -> sa.DateTime:
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def _row_id() -> sa.BigInteger:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables, and the indexes by which clients and mandates are found."""
    op.create_index(op.f("ix_bank_payers_document"), "bank_payers", ["document"])
    op.create_index(op.f("ix_bank_mandates_id_rec"), "bank_mandates", ["id_rec"])
    _create_requests()
    _create_collections()
    _create_notices()


def _create_requests() -> None:
    op.create_table(
        "bank_mandate_requests",
        sa.Column("id", _row_id(), nullable=False),
        sa.Column("request_id", _exact_text(29), nullable=False),
        sa.Column("payer_id", _row_id(), nullable=False),
        sa.Column("id_rec", _exact_text(29), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("payee_name", sa.String(140), nullable=False),
        sa.Column("payee_document", sa.String(14), nullable=False),
        sa.Column("contract", sa.String(35), nullable=False),
        sa.Column("subject", sa.String(35), nullable=True),
        sa.Column("debtor_name", sa.String(140), nullable=True),
        sa.Column("debtor_document", sa.String(14), nullable=True),
        sa.Column("periodicity", sa.String(16), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.Column("fixed_centavos", sa.BigInteger(), nullable=True),
        sa.Column("minimum_centavos", sa.BigInteger(), nullable=True),
        sa.Column("allows_retries", sa.Boolean(), nullable=False),
        sa.Column("expires_at", _instant(), nullable=False),
        sa.Column("received_at", _instant(), nullable=False),
        sa.Column("closed_at", _instant(), nullable=True),
        sa.CheckConstraint(
            "status IN ('received', 'accepted', 'refused', 'cancelled')",
            name=op.f("ck_bank_mandate_requests_status"),
        ),
        sa.CheckConstraint(
            "(status = 'received') = (closed_at IS NULL)",
            name=op.f("ck_bank_mandate_requests_closed"),
        ),
        sa.ForeignKeyConstraint(
            ["payer_id"], ["bank_payers.id"], name=op.f("fk_bank_mandate_requests_payer_id")
        ),
        sa.UniqueConstraint("request_id", name=op.f("uq_bank_mandate_requests_request_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_mandate_requests")),
        **_TABLE,
    )
    op.create_index(
        op.f("ix_bank_mandate_requests_payer_id_status"),
        "bank_mandate_requests",
        ["payer_id", "status"],
    )
    op.create_index(op.f("ix_bank_mandate_requests_id_rec"), "bank_mandate_requests", ["id_rec"])


def _create_collections() -> None:
    table = "bank_collections"
    op.create_table(
        table,
        sa.Column("id", _row_id(), nullable=False),
        sa.Column("mandate_id", _row_id(), nullable=False),
        sa.Column("txid", _exact_text(35), nullable=False),
        sa.Column("end_to_end_id", _exact_text(32), nullable=False),
        sa.Column("amount_centavos", sa.BigInteger(), nullable=False),
        sa.Column("settles_on", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(4), nullable=False),
        sa.Column("info", sa.String(140), nullable=True),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", _instant(), nullable=False),
        sa.Column("received_at", _instant(), nullable=False),
        sa.Column("closed_at", _instant(), nullable=True),
        sa.Column("transfer_id", _row_id(), nullable=True),
        sa.CheckConstraint("amount_centavos > 0", name=op.f("ck_bank_collections_amount")),
        sa.CheckConstraint(
            "status IN ('scheduled', 'paid', 'failed', 'cancelled')",
            name=op.f("ck_bank_collections_status"),
        ),
        sa.CheckConstraint(
            "(status = 'scheduled') = (closed_at IS NULL)", name=op.f("ck_bank_collections_closed")
        ),
        sa.CheckConstraint(
            "(status = 'paid') = (transfer_id IS NOT NULL)",
            name=op.f("ck_bank_collections_transfer"),
        ),
        sa.CheckConstraint(
            "(status IN ('failed', 'cancelled')) = (reason IS NOT NULL)",
            name=op.f("ck_bank_collections_reason"),
        ),
        sa.CheckConstraint("tries >= 0", name=op.f("ck_bank_collections_tries")),
        sa.ForeignKeyConstraint(
            ["mandate_id"], ["bank_mandates.id"], name=op.f("fk_bank_collections_mandate_id")
        ),
        sa.ForeignKeyConstraint(
            ["transfer_id"], ["bank_transfers.id"], name=op.f("fk_bank_collections_transfer_id")
        ),
        sa.UniqueConstraint("end_to_end_id", name=op.f("uq_bank_collections_end_to_end_id")),
        sa.UniqueConstraint("transfer_id", name=op.f("uq_bank_collections_transfer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_collections")),
        **_TABLE,
    )
    for columns in (["mandate_id", "settles_on"], ["status", "next_try_at"], ["txid"]):
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)


def _create_notices() -> None:
    table = "bank_collection_notices"
    op.create_table(
        table,
        sa.Column("id", _row_id(), nullable=False),
        sa.Column("collection_id", _row_id(), nullable=False),
        sa.Column("message_id", _exact_text(64), nullable=False),
        sa.Column("body", sa.LargeBinary(4096), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", _instant(), nullable=False),
        sa.Column("answer_status", sa.Integer(), nullable=True),
        sa.Column("answer_code", sa.String(64), nullable=True),
        sa.Column("answer_detail", sa.String(500), nullable=True),
        sa.Column("verdict", sa.String(10), nullable=True),
        sa.Column("done_at", _instant(), nullable=True),
        sa.CheckConstraint(
            "verdict IN ('confirmed', 'returned')", name=op.f("ck_bank_collection_notices_verdict")
        ),
        sa.CheckConstraint(
            "(done_at IS NULL) = (verdict IS NULL)", name=op.f("ck_bank_collection_notices_done")
        ),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["bank_collections.id"],
            name=op.f("fk_bank_collection_notices_collection_id"),
        ),
        sa.UniqueConstraint(
            "collection_id", name=op.f("uq_bank_collection_notices_collection_id")
        ),
        sa.UniqueConstraint("message_id", name=op.f("uq_bank_collection_notices_message_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_collection_notices")),
        **_TABLE,
    )
    op.create_index(
        op.f(f"ix_{table}_done_at_next_attempt_at"), table, ["done_at", "next_attempt_at"]
    )


def downgrade() -> None:
    """Drop the tables: requests, charges, and what the service has not heard of."""
    op.drop_table("bank_collection_notices")
    op.drop_table("bank_collections")
    op.drop_table("bank_mandate_requests")
    op.drop_index(op.f("ix_bank_mandates_id_rec"), "bank_mandates")
    op.drop_index(op.f("ix_bank_payers_document"), "bank_payers")
