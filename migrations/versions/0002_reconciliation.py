"""When to ask the bank about a payment, and how far its list was walked.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-20
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
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
    op.add_column("payments", sa.Column("look_up_at", instant(), nullable=True))
    op.create_index("ix_payments_look_up", "payments", ["look_up_at", "id"], unique=False)
    op.execute("UPDATE payments SET look_up_at = created_at WHERE status = 'pending'")
    op.create_table(
        "reconciliations",
        sa.Column("name", exact(32), nullable=False),
        sa.Column("walked_to", instant(), nullable=False),
        sa.Column("window_to", instant(), nullable=True),
        sa.Column("cursor", sa.String(length=200), nullable=True),
        sa.Column("not_before", instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_reconciliations")),
        **TABLE,
    )


def downgrade():
    op.drop_table("reconciliations")
    op.drop_index("ix_payments_look_up", table_name="payments")
    op.drop_column("payments", "look_up_at")
