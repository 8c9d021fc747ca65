"""Money without a payment: tills, receipts of static codes, and their events.

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-28
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OLD_RULE = (
    "(verdict = 'accepted' AND reason IS NULL AND payment_id IS NOT NULL)"
    " OR (verdict = 'refused' AND reason IS NOT NULL)"
)
NEW_RULE = (
    "(verdict = 'accepted' AND reason IS NULL"
    " AND (payment_id IS NOT NULL OR merchant_id IS NOT NULL))"
    " OR (verdict = 'refused' AND reason IS NOT NULL)"
)
HAS_A_TARGET = "bank_payment_id IS NOT NULL OR pix_key IS NOT NULL"
HAS_ONE_SUBJECT = "(payment_id IS NULL) <> (receipt_id IS NULL)"
NO_PAYMENT = "no-payment"
"""How the old schema keeps a receipt without a payment: refused for this reason."""

STORED = (
    "id, end_to_end_id, bank_payment_id, payment_id, merchant_id, amount_centavos, paid_at,"
    " told_at, payer_name, payer_document, verdict, reason"
)


def is_sqlite():
    return op.get_bind().dialect.name == "sqlite"


def upgrade():
    op.create_table(
        "tills",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("merchant_id", columns.row_id(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("txid", columns.exact(25), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("created_at", columns.instant(), nullable=False),
        sa.Column("closed_at", columns.instant(), nullable=True),
        sa.CheckConstraint("number > 0", name=op.f("ck_tills_number_positive")),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_tills_merchant_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tills")),
        sa.UniqueConstraint("merchant_id", "number", name=op.f("uq_tills_merchant_id_number")),
        sa.UniqueConstraint("txid", name=op.f("uq_tills_txid")),
        **columns.TABLE,
    )
    if is_sqlite():
        rebuild_receipts(is_new=True)
    else:
        op.drop_constraint(op.f("ck_receipts_verdict_has_its_reason"), "receipts", type_="check")
        op.alter_column(
            "receipts", "bank_payment_id", existing_type=columns.exact(64), nullable=True
        )
        key = sa.ForeignKey("tills.id", name=op.f("fk_receipts_till_id"))
        columns.add_column("receipts", sa.Column("pix_key", columns.exact(77)))
        columns.add_column("receipts", sa.Column("reference", columns.exact(25)))
        columns.add_column("receipts", sa.Column("till_id", columns.row_id()), foreign_key=key)
        op.create_check_constraint(
            op.f("ck_receipts_verdict_has_its_reason"), "receipts", NEW_RULE
        )
        op.create_check_constraint(op.f("ck_receipts_has_a_target"), "receipts", HAS_A_TARGET)
    op.create_index("ix_receipts_till", "receipts", ["till_id", "id"])
    op.create_index(
        "ix_receipts_free", "receipts", ["merchant_id", "payment_id", "told_at", "amount_centavos"]
    )
    op.execute(
        "UPDATE receipts SET verdict = 'accepted', reason = NULL"
        f" WHERE verdict = 'refused' AND reason = '{NO_PAYMENT}'"
    )
    with op.batch_alter_table("payment_events") as batch:
        batch.alter_column("payment_id", existing_type=columns.row_id(), nullable=True)
        batch.add_column(sa.Column("receipt_id", columns.row_id()))
        batch.create_foreign_key(
            op.f("fk_payment_events_receipt_id"), "receipts", ["receipt_id"], ["id"]
        )
        batch.create_check_constraint(op.f("ck_payment_events_has_one_subject"), HAS_ONE_SUBJECT)
        batch.create_index("ix_payment_events_receipt", ["receipt_id"])


def downgrade():
    op.execute("DELETE FROM payment_events WHERE payment_id IS NULL")
    drop_receipt_of_events()
    # The old schema has no accepted receipt without a payment. The next upgrade turns them back.
    op.execute(
        f"UPDATE receipts SET verdict = 'refused', reason = '{NO_PAYMENT}'"
        " WHERE verdict = 'accepted' AND payment_id IS NULL"
    )
    op.execute(
        "UPDATE receipts SET bank_payment_id = SUBSTR(pix_key, 1, 64) WHERE bank_payment_id IS NULL"
    )
    if is_sqlite():
        rebuild_receipts(is_new=False)
    else:
        op.drop_constraint(op.f("ck_receipts_has_a_target"), "receipts", type_="check")
        op.drop_constraint(op.f("ck_receipts_verdict_has_its_reason"), "receipts", type_="check")
        op.drop_constraint(op.f("fk_receipts_till_id"), "receipts", type_="foreignkey")
        op.drop_index("ix_receipts_till", table_name="receipts")
        op.drop_index("ix_receipts_free", table_name="receipts")
        for name in ("till_id", "reference", "pix_key"):
            op.drop_column("receipts", name)
        op.alter_column(
            "receipts", "bank_payment_id", existing_type=columns.exact(64), nullable=False
        )
        op.create_check_constraint(
            op.f("ck_receipts_verdict_has_its_reason"), "receipts", OLD_RULE
        )
    op.drop_table("tills")


def drop_receipt_of_events():
    """Drop the column with its key, index and rule, and make `payment_id` obligatory again."""
    if is_sqlite():
        with op.batch_alter_table("payment_events") as batch:
            batch.drop_constraint(op.f("ck_payment_events_has_one_subject"), type_="check")
            batch.drop_index("ix_payment_events_receipt")
            batch.drop_constraint("fk_payment_events_receipt_id", type_="foreignkey")
            batch.drop_column("receipt_id")
            batch.alter_column("payment_id", existing_type=columns.row_id(), nullable=False)
        return
    table = "payment_events"
    op.drop_constraint(op.f("ck_payment_events_has_one_subject"), table, type_="check")
    op.drop_constraint(op.f("fk_payment_events_receipt_id"), table, type_="foreignkey")
    op.drop_index("ix_payment_events_receipt", table_name=table)
    op.drop_column(table, "receipt_id")
    # MySQL changes no column to NOT NULL while a foreign key uses the column.
    op.drop_constraint(op.f("fk_payment_events_payment_id"), table, type_="foreignkey")
    op.alter_column(table, "payment_id", existing_type=columns.row_id(), nullable=False)
    key = op.f("fk_payment_events_payment_id")
    op.create_foreign_key(key, table, "payments", ["payment_id"], ["id"])


def rebuild_receipts(*, is_new):
    """Copy the table on SQLite, which changes no constraint and copies no generated column."""
    added = (
        [
            sa.Column("pix_key", columns.exact(77), nullable=True),
            sa.Column("reference", columns.exact(25), nullable=True),
            sa.Column("till_id", columns.row_id(), nullable=True),
            sa.CheckConstraint(HAS_A_TARGET, name=op.f("ck_receipts_has_a_target")),
            sa.ForeignKeyConstraint(["till_id"], ["tills.id"], name=op.f("fk_receipts_till_id")),
        ]
        if is_new
        else []
    )
    op.execute("DROP TABLE IF EXISTS receipts_copy")
    op.create_table(
        "receipts_copy",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("end_to_end_id", columns.exact(128), nullable=False),
        sa.Column("bank_payment_id", columns.exact(64), nullable=is_new),
        sa.Column("payment_id", columns.row_id(), nullable=True),
        sa.Column("merchant_id", columns.row_id(), nullable=True),
        sa.Column("amount_centavos", sa.BigInteger(), nullable=False),
        sa.Column("paid_at", columns.instant(), nullable=False),
        sa.Column("told_at", columns.instant(), nullable=False),
        sa.Column("payer_name", sa.String(length=140), nullable=True),
        sa.Column("payer_document", sa.String(length=14), nullable=True),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column(
            "settles_payment_id",
            columns.row_id(),
            sa.Computed("CASE WHEN verdict = 'accepted' THEN payment_id END", persisted=True),
            nullable=True,
        ),
        sa.CheckConstraint(
            NEW_RULE if is_new else OLD_RULE, name=op.f("ck_receipts_verdict_has_its_reason")
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
        *added,
    )
    op.execute(f"INSERT INTO receipts_copy ({STORED}) SELECT {STORED} FROM receipts")
    op.drop_table("receipts")
    op.rename_table("receipts_copy", "receipts")
    op.create_index("ix_receipts_merchant", "receipts", ["merchant_id", "id"])
    op.create_index("ix_receipts_payment", "receipts", ["payment_id", "id"])
