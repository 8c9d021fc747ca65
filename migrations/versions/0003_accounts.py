"""Accounts with passwords and roles, keys with scopes, sign-ins, and who did what.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-22
"""

import secrets

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ALL_SCOPES = "payments:read payments:write refunds:write webhooks:write account:write"

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


def fill_public_ids(table):
    """Give every row of the table an unguessable id."""
    connection = op.get_bind()
    rows = sa.table(table, sa.column("id"), sa.column("public_id"))
    for (number,) in connection.execute(sa.select(rows.c.id)).all():
        fresh = sa.update(rows).where(rows.c.id == number).values(public_id=secrets.token_hex(16))
        connection.execute(fresh)


def upgrade():
    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("public_id", exact(32), nullable=True))
        batch_op.add_column(sa.Column("role", sa.String(length=16), nullable=True))
        batch_op.add_column(sa.Column("password_hash", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("email", sa.String(length=254), nullable=True))
        batch_op.add_column(sa.Column("support_contact", sa.String(length=120), nullable=True))
        batch_op.add_column(sa.Column("brand_color", sa.String(length=7), nullable=True))
        batch_op.add_column(sa.Column("signed_in_at", instant(), nullable=True))
        batch_op.add_column(sa.Column("disabled_at", instant(), nullable=True))
    fill_public_ids("accounts")
    op.execute("UPDATE accounts SET role = 'merchant'")
    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.alter_column("public_id", existing_type=exact(32), nullable=False)
        batch_op.alter_column("role", existing_type=sa.String(length=16), nullable=False)
        batch_op.alter_column("pix_key", existing_type=exact(77), nullable=True)
        batch_op.create_unique_constraint(batch_op.f("uq_accounts_public_id"), ["public_id"])
        batch_op.create_check_constraint(
            batch_op.f("ck_accounts_role_known"), "role IN ('merchant', 'payer', 'admin')"
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_accounts_merchant_receives_by_a_key"),
            "role <> 'merchant' OR pix_key IS NOT NULL",
        )

    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("public_id", exact(32), nullable=True))
        batch_op.add_column(sa.Column("prefix", sa.String(length=24), nullable=True))
        batch_op.add_column(sa.Column("scopes", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("last_used_at", instant(), nullable=True))
    fill_public_ids("api_keys")
    # Keys without scopes could do everything; they keep every scope.
    op.execute(f"UPDATE api_keys SET prefix = 'balcao_', scopes = '{ALL_SCOPES}'")
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.alter_column("public_id", existing_type=exact(32), nullable=False)
        batch_op.alter_column("prefix", existing_type=sa.String(length=24), nullable=False)
        batch_op.alter_column("scopes", existing_type=sa.String(length=255), nullable=False)
        batch_op.create_unique_constraint(batch_op.f("uq_api_keys_public_id"), ["public_id"])

    op.create_table(
        "sign_ins",
        sa.Column("id", row_id(), nullable=False),
        sa.Column("public_id", exact(32), nullable=False),
        sa.Column("account_id", row_id(), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("refresh_id", exact(32), nullable=False),
        sa.Column("previous_refresh_id", exact(32), nullable=True),
        sa.Column("rotated_at", instant(), nullable=True),
        sa.Column("created_at", instant(), nullable=False),
        sa.Column("seen_at", instant(), nullable=False),
        sa.Column("expires_at", instant(), nullable=False),
        sa.Column("ended_at", instant(), nullable=True),
        sa.Column("end_reason", sa.String(length=24), nullable=True),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("user_agent", sa.String(length=200), nullable=False),
        sa.CheckConstraint(
            "(ended_at IS NULL AND end_reason IS NULL) "
            "OR (ended_at IS NOT NULL AND end_reason IS NOT NULL)",
            name=op.f("ck_sign_ins_end_has_its_reason"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_sign_ins_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_ins")),
        sa.UniqueConstraint("public_id", name=op.f("uq_sign_ins_public_id")),
        **TABLE,
    )
    with op.batch_alter_table("sign_ins", schema=None) as batch_op:
        batch_op.create_index("ix_sign_ins_account", ["account_id", "id"], unique=False)
        batch_op.create_index("ix_sign_ins_expires", ["expires_at"], unique=False)

    op.create_table(
        "audit_entries",
        sa.Column("id", row_id(), nullable=False),
        sa.Column("public_id", exact(32), nullable=False),
        sa.Column("account_id", row_id(), nullable=True),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=140), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("occurred_at", instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_audit_entries_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
        sa.UniqueConstraint("public_id", name=op.f("uq_audit_entries_public_id")),
        **TABLE,
    )
    with op.batch_alter_table("audit_entries", schema=None) as batch_op:
        batch_op.create_index("ix_audit_entries_account", ["account_id", "id"], unique=False)
        batch_op.create_index("ix_audit_entries_occurred", ["occurred_at"], unique=False)


def downgrade():
    op.drop_table("audit_entries")
    op.drop_table("sign_ins")
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_api_keys_public_id"), type_="unique")
        batch_op.drop_column("last_used_at")
        batch_op.drop_column("scopes")
        batch_op.drop_column("prefix")
        batch_op.drop_column("public_id")
    # The earlier revision demands a Pix key of every account: the public id is used instead.
    op.execute("UPDATE accounts SET pix_key = public_id WHERE pix_key IS NULL")
    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_accounts_merchant_receives_by_a_key"), type_="check")
        batch_op.drop_constraint(batch_op.f("ck_accounts_role_known"), type_="check")
        batch_op.drop_constraint(batch_op.f("uq_accounts_public_id"), type_="unique")
        batch_op.alter_column("pix_key", existing_type=exact(77), nullable=False)
        for column in (
            "disabled_at",
            "signed_in_at",
            "brand_color",
            "support_contact",
            "email",
            "password_hash",
            "role",
            "public_id",
        ):
            batch_op.drop_column(column)
