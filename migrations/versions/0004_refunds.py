"""Refunds, and the amounts of payments that are on hold for them.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-21
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"
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
HELD = {
    "refunding_within_rest": "refunding_centavos = 0 OR (refunding_centavos > 0"
    " AND refunded_centavos + refunding_centavos <= amount_centavos)",
    "refunding_only_if_confirmed": "refunding_centavos = 0 OR status = 'confirmed'",
}


def instant():
    """UTC with microseconds; a plain DATETIME of MySQL has none."""
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def row_id():
    """A row number: 64 bits, except where SQLite numbers rows by itself."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def exact(length):
    """Text compared byte for byte; `utf8mb4_bin` would ignore trailing spaces."""
    dialect = op.get_bind().dialect
    collation = "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation=collation)
    return sa.String(length).with_variant(binary, "mysql", "mariadb")


def upgrade():
    if op.get_bind().dialect.name == "sqlite":
        # Add the constraint with the column: adding it later would rewrite the table on SQLite.
        checks = [f"CONSTRAINT ck_payments_{name} CHECK ({rule})" for name, rule in HELD.items()]
        op.execute(
            "ALTER TABLE payments ADD COLUMN refunding_centavos BIGINT DEFAULT 0 NOT NULL "
            + " ".join(checks)
        )
    else:
        column = sa.Column(
            "refunding_centavos", sa.BigInteger(), nullable=False, server_default="0"
        )
        op.add_column("payments", column)
        for name, rule in HELD.items():
            op.create_check_constraint(op.f(f"ck_payments_{name}"), "payments", rule)
    op.create_table(
        "refunds",
        sa.Column("id", row_id(), nullable=False),
        sa.Column("payment_id", row_id(), nullable=False),
        sa.Column("refund_id", exact(35), nullable=False),
        sa.Column("bank_refund_id", exact(35), nullable=False),
        sa.Column("return_id", exact(64), nullable=True),
        sa.Column("amount_centavos", sa.BigInteger(), nullable=False),
        sa.Column("is_rest", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("description", sa.String(length=140), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("requested_at", instant(), nullable=False),
        sa.Column("settled_at", instant(), nullable=True),
        sa.Column("ask_at", instant(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.CheckConstraint("amount_centavos > 0", name=op.f("ck_refunds_amount_positive")),
        sa.CheckConstraint(
            "status IN ('processing', 'done', 'failed')", name=op.f("ck_refunds_status_known")
        ),
        sa.CheckConstraint(
            "(status = 'processing' AND settled_at IS NULL AND ask_at IS NOT NULL)"
            " OR (status <> 'processing' AND settled_at IS NOT NULL AND ask_at IS NULL)",
            name=op.f("ck_refunds_asked_until_settled"),
        ),
        sa.CheckConstraint(
            "status <> 'done' OR return_id IS NOT NULL", name=op.f("ck_refunds_done_has_its_return")
        ),
        sa.CheckConstraint(
            "(status = 'failed' AND reason IS NOT NULL) OR (status <> 'failed' AND reason IS NULL)",
            name=op.f("ck_refunds_failed_has_its_reason"),
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_refunds_payment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refunds")),
        sa.UniqueConstraint(
            "payment_id", "refund_id", name=op.f("uq_refunds_payment_id_refund_id")
        ),
        sa.UniqueConstraint("bank_refund_id", name=op.f("uq_refunds_bank_refund_id")),
        sa.UniqueConstraint("return_id", name=op.f("uq_refunds_return_id")),
        **TABLE,
    )
    op.create_index("ix_refunds_due", "refunds", ["ask_at", "id"], unique=False)


def downgrade():
    op.drop_table("refunds")
    if op.get_bind().dialect.name != "sqlite":
        for name in HELD:
            op.drop_constraint(op.f(f"ck_payments_{name}"), "payments", type_="check")
    op.drop_column("payments", "refunding_centavos")
