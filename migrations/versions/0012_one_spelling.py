"""One spelling of logins, e-mails and shops' names, by which they are compared.

Old logins stay as they are. Of logins that differ only in case one gets the key: the one in small
letters, or else the oldest; the others have none. E-mails are written in small letters, also after
a downgrade.

Revision ID: 0012
Revises: 0011
Create Date: 2026-11-28
"""

import unicodedata

import sqlalchemy as sa
from alembic import op

from migrations import columns

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NAME_KEY_MAX = 240


def upgrade():
    columns.add_column("accounts", sa.Column("login_key", columns.exact(64)))
    columns.add_column("accounts", sa.Column("name_key", columns.exact(NAME_KEY_MAX)))
    accounts = sa.table(
        "accounts",
        *(sa.column(name) for name in ("id", "login", "login_key", "name", "name_key", "role")),
        sa.column("email"),
    )
    bind = op.get_bind()
    fill_logins(bind, accounts)
    merchants = sa.select(accounts.c.id, accounts.c.name).where(accounts.c.role == "merchant")
    for row in bind.execute(merchants).all():
        key = accounts.update().where(accounts.c.id == row.id).values(name_key=name_key(row.name))
        bind.execute(key)
    has_email = accounts.c.email.is_not(None)
    bind.execute(accounts.update().where(has_email).values(email=sa.func.lower(accounts.c.email)))
    op.create_index("ix_accounts_login_key", "accounts", ["login_key"], unique=True)
    op.create_index("ix_accounts_name_key", "accounts", ["name_key"])


def downgrade():
    op.drop_index("ix_accounts_name_key", "accounts")
    op.drop_index("ix_accounts_login_key", "accounts")
    columns.drop_column("accounts", "name_key")
    columns.drop_column("accounts", "login_key")


def fill_logins(bind, accounts):
    """Give each login its key; logins are ASCII, so small letters are all there is to it."""
    in_order = sa.select(accounts.c.id, accounts.c.login).order_by(accounts.c.id)
    rows = bind.execute(in_order).all()
    owners = {row.login.lower(): row.id for row in reversed(rows)}
    owners |= {row.login: row.id for row in rows if row.login == row.login.lower()}
    for key, row_id in owners.items():
        bind.execute(accounts.update().where(accounts.c.id == row_id).values(login_key=key))


def name_key(name):
    """The name without case, invisible characters and repeated spaces."""
    for _ in range(2):
        name = unicodedata.normalize("NFKC", name).casefold()
        name = "".join(one for one in name if unicodedata.category(one) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", name).split())[:NAME_KEY_MAX].rstrip()
