"""Which code each migration of this database still lets run."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from db_models.base import TABLE_OPTIONS, db, exact_string


class SchemaSupport(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One migration that was run. `flask db upgrade` writes the row (`migrations/support.py`)."""

    __tablename__ = "schema_support"
    __table_args__ = (TABLE_OPTIONS,)

    revision: Mapped[str] = mapped_column(exact_string(32), primary_key=True)
    oldest_code: Mapped[str | None] = mapped_column(exact_string(32))
    """The revision of the oldest code that works with the schema after this migration; None if the
    migration takes nothing away, so that code from before it works too."""
