"""Column types of the migrations that differ between engines.

`flask db migrate` writes these helpers into new revisions (see autogenerate.py), so that a
revision keeps its meaning when the types of `db_models` change.
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
"""Keyword arguments for `op.create_table`."""


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


def add_column(table, column, *, foreign_key=None, **checks):
    """Add a column with its foreign key; `checks` are SQL conditions by constraint name.

    SQLite gets the constraints in the same statement. To add a constraint later, Alembic would copy
    the table, which fails for the generated columns of `payments` and `receipts`.
    """
    bind = op.get_bind()
    if foreign_key is not None:
        column.append_foreign_key(foreign_key)
    if bind.dialect.name != "sqlite":
        op.add_column(table, column)
        for name, rule in checks.items():
            op.create_check_constraint(op.f(name), table, rule)
        return
    sa.Table(table, sa.MetaData(), column)
    parts = [str(CreateColumn(column).compile(dialect=bind.dialect))]
    if foreign_key is not None:
        target, _, target_column = foreign_key.target_fullname.rpartition(".")
        parts.append(f"CONSTRAINT {foreign_key.name} REFERENCES {target} ({target_column})")
    parts += [f"CONSTRAINT {name} CHECK ({rule})" for name, rule in checks.items()]
    op.execute(f"ALTER TABLE {table} ADD COLUMN {' '.join(parts)}")


def drop_column(table, name, *constraints):
    """Drop a column that `add_column` added; `constraints` are the names of its fk and checks."""
    if op.get_bind().dialect.name != "sqlite":  # SQLite drops constraints with the column
        for constraint in constraints:
            kind = "foreignkey" if constraint.startswith("fk_") else "check"
            op.drop_constraint(op.f(constraint), table, type_=kind)
    op.drop_column(table, name)


def rewrite_on_sqlite(table, *changes):
    """Change rules in the stored text of a table; `changes` are pairs of old and new text.

    For checks and lengths, which have no bytes in the file: SQLite's own documentation describes
    this way (lang_altertable.html, section 7). Alembic would copy the table, see `add_column`.
    Raises LookupError for a text that the table does not have once.
    """
    bind = op.get_bind()
    text = bind.scalar(sa.text("SELECT sql FROM sqlite_schema WHERE name = :name"), {"name": table})
    for old, new in changes:
        if text.count(old) != 1:
            raise LookupError(f"{table} does not have this text once: {old}")
        text = text.replace(old, new)
    version = bind.scalar(sa.text("PRAGMA schema_version"))
    bind.execute(sa.text("PRAGMA writable_schema = ON"))
    change = sa.text("UPDATE sqlite_schema SET sql = :sql WHERE type = 'table' AND name = :name")
    bind.execute(change, {"sql": text, "name": table})
    bind.execute(sa.text(f"PRAGMA schema_version = {version + 1}"))
    bind.execute(sa.text("PRAGMA writable_schema = OFF"))
