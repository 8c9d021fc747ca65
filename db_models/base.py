"""The declarative base and the column types that mean the same on every engine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, Dialect, Index, MetaData, String, text, types
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Name every constraint, so that SQLite's batch migrations can find it."""

    metadata = MetaData(naming_convention=_NAMES)


db = SQLAlchemy(
    model_class=Base, disable_autonaming=True, session_options={"expire_on_commit": False}
)

TABLE_OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_unicode_ci",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_unicode_ci",
}


class UtcDateTime(types.TypeDecorator[datetime]):
    """An aware UTC instant with microseconds. A naive value raises ValueError.

    MySQL drops fractions of seconds from a plain DATETIME, hence `fsp=6`.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        """DATETIME(6) on MySQL and MariaDB, the plain type elsewhere."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> datetime | None:
        """Store UTC without its offset."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("An instant needs a time zone to be stored.")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> datetime | None:
        """Add the UTC offset again."""
        return None if value is None else value.replace(tzinfo=UTC)


class ExactString(types.TypeDecorator[str]):
    """Text that is compared byte for byte, for ids and keys.

    The default collations of MySQL and MariaDB ignore case, and `utf8mb4_bin` ignores spaces at the
    end. Each has a binary collation that ignores neither, under its own name.
    """

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        """VARCHAR with the server's own binary collation on MySQL and MariaDB."""
        if dialect.name not in ("mysql", "mariadb"):
            return dialect.type_descriptor(self.impl_instance)
        is_mariadb = dialect.name == "mariadb" or getattr(dialect, "is_mariadb", False)
        collation = "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"
        length = self.impl_instance.length  # type: ignore[attr-defined]  # it is a String
        return dialect.type_descriptor(
            mysql.VARCHAR(length, charset="utf8mb4", collation=collation)
        )


def exact_string(length: int) -> types.TypeEngine[str]:
    """Text of at most `length` characters, compared byte for byte."""
    return ExactString(length)


def index_of_reference(name: str, column: str) -> Index:
    """An index of a foreign key, by which a deletion finds what refers to its row.

    MariaDB makes one for each foreign key anyway. Elsewhere it leaves out the rows without a
    reference.
    """
    is_given = text(f"{column} IS NOT NULL")
    return Index(name, column, postgresql_where=is_given, sqlite_where=is_given)
