"""Column types that need care on one engine or another, for migrations alone.

`flask db migrate` writes these helpers into new revisions (see `render_item` in env.py), so that a
revision means the same when the types of `db_models` have changed since.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateColumn

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


def add_column(table, column, **checks):
    """Add a column with its foreign key and with rules, given as SQL by constraint name.

    SQLite gets the constraints with the column. To add one later, Alembic would copy the table,
    and SQLite refuses a copy of generated columns, which `payments` and `receipts` have.
    """
    bind = op.get_bind()
    if bind.dialect.name != "sqlite":
        op.add_column(table, column)
        for name, rule in checks.items():
            op.create_check_constraint(op.f(name), table, rule)
        return
    sa.Table(table, sa.MetaData(), column)
    parts = [str(CreateColumn(column).compile(dialect=bind.dialect))]
    for key in column.foreign_keys:
        target, _, target_column = key.target_fullname.rpartition(".")
        parts.append(f"CONSTRAINT {key.name} REFERENCES {target} ({target_column})")
    parts += [f"CONSTRAINT {name} CHECK ({rule})" for name, rule in checks.items()]
    op.execute(f"ALTER TABLE {table} ADD COLUMN {' '.join(parts)}")


def drop_column(table, name, *constraints):
    """Drop a column that `add_column` added; `constraints` are the names of its fk and checks."""
    if op.get_bind().dialect.name != "sqlite":  # SQLite drops them with the column
        for constraint in constraints:
            kind = "foreignkey" if constraint.startswith("fk_") else "check"
            op.drop_constraint(op.f(constraint), table, type_=kind)
    op.drop_column(table, name)
