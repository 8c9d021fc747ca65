"""Merchants without a Pix key: nobody invents one for them.

Revision ID: 0008
Revises: 0007
Create Date: 2026-11-28
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_accounts_merchant_receives_by_a_key"), type_="check")


def downgrade():
    # The earlier revision demands a Pix key of every merchant: the public id is used instead.
    op.execute(
        "UPDATE accounts SET pix_key = public_id WHERE role = 'merchant' AND pix_key IS NULL"
    )
    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.create_check_constraint(
            batch_op.f("ck_accounts_merchant_receives_by_a_key"),
            "role <> 'merchant' OR pix_key IS NOT NULL",
        )
