"""Indexes of the portal, traces of shoppers on payment pages, and merchants' logos.

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-21
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
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
INDEXES = {
    "ix_payments_created": ["merchant_id", "status", "created_at", "id"],
    "ix_payments_takings": [
        "merchant_id",
        "status",
        "resolved_at",
        "created_at",
        "amount_centavos",
        "refunded_centavos",
    ],
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
    for name, columns in INDEXES.items():
        op.create_index(name, "payments", columns, unique=False)
    op.create_table(
        "payment_traces",
        sa.Column("payment_id", row_id(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("first_at", instant(), nullable=False),
        sa.Column("last_at", instant(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('opened', 'copied', 'asked')", name=op.f("ck_payment_traces_kind_known")
        ),
        sa.CheckConstraint("times > 0", name=op.f("ck_payment_traces_times_positive")),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_payment_traces_payment_id")
        ),
        sa.PrimaryKeyConstraint("payment_id", "kind", name=op.f("pk_payment_traces")),
        **TABLE,
    )
    op.create_table(
        "logos",
        sa.Column("id", row_id(), nullable=False),
        sa.Column("public_id", exact(32), nullable=False),
        sa.Column("account_id", row_id(), nullable=False),
        sa.Column("png", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", instant(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_logos_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logos")),
        sa.UniqueConstraint("account_id", name=op.f("uq_logos_account_id")),
        sa.UniqueConstraint("public_id", name=op.f("uq_logos_public_id")),
        **TABLE,
    )


def downgrade():
    op.drop_table("logos")
    op.drop_table("payment_traces")
    for name in reversed(INDEXES):
        op.drop_index(name, table_name="payments")
