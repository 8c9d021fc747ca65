"""A cache in memory that drops what was not used for the longest time."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """Values by key, at most so many.

    A dictionary has its keys in the order in which they were put in. Threads may share the cache:
    at worst a value is made twice.
    """

    def __init__(self, most: int) -> None:
        """Keep `most` values."""
        self._most = most
        self._values: dict[Hashable, Value] = {}

    def __len__(self) -> int:
        """How many values there are."""
        return len(self._values)

    def __iter__(self) -> Iterator[Hashable]:
        """The keys, the least used first."""
        return iter(self._values)

    def get(self, key: Hashable) -> Value | None:
        """The value under this key, which counts as used now; or None."""
        value = self._values.pop(key, None)
        if value is not None:
            self._values[key] = value
        return value

    def put(self, key: Hashable, value: Value) -> None:
        """Keep this value under this key."""
        self._values.pop(key, None)
        while len(self._values) >= self._most:
            with suppress(StopIteration, KeyError, RuntimeError):  # another thread removed it
                del self._values[next(iter(self._values))]
        self._values[key] = value
