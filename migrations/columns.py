"""Column types that need care on one engine or another, for migrations alone.

`flask db migrate` writes these helpers into new revisions (see `render_item` in env.py), so that a
revision means the same when the types of `db_models` have changed since.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

TABLE = {
    f"{engine}_{option}": value
    for engine in ("mysql", "mariadb")
    for option, value in (
        ("engine", "InnoDB"),
        ("charset", "utf8mb4"),
        ("collate", "utf8mb4_unicode_ci"),
    )
}
"""Keyword arguments of `op.create_table`."""


def row_id():
    """A row's number; SQLite increments INTEGER only."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def instant():
    """UTC with microseconds, which MySQL drops from a bare DATETIME."""
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def exact(length):
    """Text compared byte for byte; `utf8mb4_bin` would take "a" and "a " for equal."""
    dialect = op.get_bind().dialect
    collation = "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation=collation)
    return sa.String(length).with_variant(binary, "mysql", "mariadb")
