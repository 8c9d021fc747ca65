"""A trick is an optimisation, which a benchmark can turn off.

`off` is a context in which the plain form replaces the trick. `is_built_in` means that the form is
chosen when the app is built, so a second app is built in that context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from flask import Flask

Off = Callable[[Flask], AbstractContextManager[Any]]
Row = tuple[str, tuple[str, ...], Any]
"""Of a trick inside a method: its name, its operations, and the plain form of the method."""


@dataclass(frozen=True)
class Trick:
    """An optimisation: its place, the operations it serves, and the context that turns it off."""

    name: str
    where: str
    operations: tuple[str, ...]
    off: Off
    is_built_in: bool = False
    is_distant: bool = False
    """Whether the trick saves waiting: measured in wall time with a distant database."""


def instead(*replaced: tuple[Any, str, Any]) -> Off:
    """Replace attributes: (object, name, value)."""

    @contextmanager
    def replacing(_app: Flask) -> Iterator[None]:
        with ExitStack() as stack:
            for holder, name, value in replaced:
                stack.enter_context(patch.object(holder, name, value))
            yield

    return replacing


def uncached(holder: Any, name: str) -> Off:
    """Replace a cached function by the function below its `lru_cache`."""
    return instead((holder, name, getattr(holder, name).__wrapped__))


def of_method(holder: type[Any], methods: str | tuple[str, ...], *rows: Row) -> list[Trick]:
    """Tricks inside a method, or inside several that have one plain form.

    The first of them names the place, as in `repository/payments.py change`.
    """
    names = (methods,) if isinstance(methods, str) else methods
    where = f"{holder.__module__.replace('.', '/')}.py {names[0]}"
    return [
        Trick(name, where, operations, instead(*((holder, own, plain) for own in names)))
        for name, operations, plain in rows
    ]


def near_and_far(trick: Trick) -> list[Trick]:
    """The trick as it is measured here, and with a distant database."""
    return [trick, replace(trick, name="the same, with a distant database", is_distant=True)]
