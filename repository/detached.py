"""Objects of a table's rows that no session knows, for rows that nearly every request reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

Model = TypeVar("Model")


class Detached(Generic[Model]):
    """Builds objects of one model from all columns of its table, in the table's order.

    A session would look for each object in its identity map and remember its values for a flush;
    that costs more than a short statement. Such an object must never be added to a session.
    """

    def __init__(self, model: type[Model]) -> None:
        self._model = model
        mapped: Any = model
        mapper, columns = mapped.__mapper__, mapped.__table__.c
        self._attributes = [mapper.get_property_by_column(column).key for column in columns]
        self.width = len(self._attributes)
        """How many columns an object takes."""

    def of_outer(self, row: Sequence[Any]) -> Model | None:
        """The object on the outer side of a join, or None if no row was joined.

        Its first column must be its key.
        """
        return None if row[0] is None else self.of(row)

    def of(self, row: Sequence[Any]) -> Model:
        """The object with these values."""
        row_object = self._model()
        row_object.__dict__.update(zip(self._attributes, row, strict=True))
        return row_object
