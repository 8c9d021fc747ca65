"""What API Pix needs of a payment: its txid, terms, revisions and locations.

Revision ID: 0018
Revises: 0017
Create Date: 2026-11-29
"""

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

NAMES = ("payer_name VARCHAR(140)", "payer_name VARCHAR(200)")
AMOUNTS = ("amount_centavos > 0", "amount_centavos > 0 OR (payer_sets_amount AND amount_centavos = 0)")
CHECK = "ck_payments_amount_positive"


def upgrade():
    columns.add_column("payments", sa.Column("charge_txid", columns.exact(35)))
    columns.add_column(
        "payments", sa.Column("charge_kind", sa.String(length=4), server_default="cob", nullable=False)
    )
    columns.add_column(
        "payments", sa.Column("revision", sa.Integer(), server_default="0", nullable=False)
    )
    columns.add_column(
        "payments",
        sa.Column("payer_sets_amount", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    columns.add_column("payments", sa.Column("charge_terms", sa.JSON()))
    columns.add_column("payments", sa.Column("location_token", columns.exact(32)))
    columns.add_column("payments", sa.Column("location_created_at", columns.instant()))
    columns.add_column(
        "payments",
        sa.Column("has_location", sa.Boolean(), server_default=sa.true(), nullable=False),
    )
    op.create_index(
        "ix_payments_charge_txid", "payments", ["charge_txid", "merchant_id"], unique=True
    )
    op.create_index("ix_payments_location_token", "payments", ["location_token"], unique=True)
    if op.get_bind().dialect.name == "sqlite":
        columns.rewrite_on_sqlite("payments", NAMES, AMOUNTS)
    else:
        _replace_check(AMOUNTS[1])
        _resize_name(140, 200)
    op.create_table(
        "charge_revisions",
        sa.Column("payment_id", columns.row_id(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.Column("replaced_at", columns.instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_charge_revisions_payment_id")
        ),
        sa.PrimaryKeyConstraint("payment_id", "revision", name=op.f("pk_charge_revisions")),
        **columns.TABLE,
    )
    op.create_table(
        "locations",
        sa.Column("id", columns.row_id(), nullable=False),
        sa.Column("token", columns.exact(32), nullable=False),
        sa.Column("merchant_id", columns.row_id(), nullable=False),
        sa.Column("charge_kind", sa.String(length=4), nullable=False),
        sa.Column("created_at", columns.instant(), nullable=False),
        sa.Column("payment_id", columns.row_id(), nullable=True),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_locations_payment_id")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["accounts.id"], name=op.f("fk_locations_merchant_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_locations")),
        sa.UniqueConstraint("payment_id", name=op.f("uq_locations_payment_id")),
        sa.UniqueConstraint("token", name=op.f("uq_locations_token")),
        **columns.TABLE,
    )
    op.create_index(
        "ix_locations_merchant",
        "locations",
        ["merchant_id", "created_at", "id"],
        unique=False,
    )


def downgrade():
    _fit_old_rules()
    op.drop_table("locations")
    op.drop_table("charge_revisions")
    if op.get_bind().dialect.name == "sqlite":
        columns.rewrite_on_sqlite("payments", NAMES[::-1], AMOUNTS[::-1])
    else:
        _replace_check(AMOUNTS[0])
        _resize_name(200, 140)
    op.drop_index("ix_payments_location_token", table_name="payments")
    op.drop_index("ix_payments_charge_txid", table_name="payments")
    for name in (
        "has_location",
        "location_created_at",
        "location_token",
        "charge_terms",
        "payer_sets_amount",
        "revision",
        "charge_kind",
        "charge_txid",
    ):
        columns.drop_column("payments", name)


def _fit_old_rules():
    """Change rows that the old rules forbid, or the downgrade would stop halfway on MySQL.

    A payment of zero was never paid, since a confirmation stores what was paid: it is cancelled, so
    that nobody can pay the centavo that it must have.
    """
    payments = sa.table(
        "payments",
        *[sa.column(name) for name in ("amount_centavos", "status", "payer_name")],
        *[sa.column(name) for name in ("created_at", "resolved_at", "look_up_at")],
    )
    is_zero = payments.c.amount_centavos == 0
    pending = sa.update(payments).where(is_zero, payments.c.status == "pending")
    op.execute(
        pending.values(status="cancelled", resolved_at=payments.c.created_at, look_up_at=None)
    )
    op.execute(sa.update(payments).where(is_zero).values(amount_centavos=1))
    has_long_name = sa.func.char_length(payments.c.payer_name) > 140
    if op.get_bind().dialect.name == "sqlite":
        has_long_name = sa.func.length(payments.c.payer_name) > 140
    name = sa.func.substr(payments.c.payer_name, 1, 140)
    op.execute(sa.update(payments).where(has_long_name).values(payer_name=name))


def _replace_check(rule):
    op.drop_constraint(op.f(CHECK), "payments", type_="check")
    op.create_check_constraint(op.f(CHECK), "payments", rule)


def _resize_name(old, new):
    op.alter_column(
        "payments",
        "payer_name",
        existing_type=sa.String(length=old),
        type_=sa.String(length=new),
        existing_nullable=True,
    )
