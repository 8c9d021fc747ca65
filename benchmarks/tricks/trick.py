"""A trick is an optimisation, which a benchmark can turn off.

`off` is a context in which the plain form replaces the trick. `is_built_in` means that the form is
chosen when the app is built, so a second app is built in that context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from flask import Flask


@dataclass(frozen=True)
class Trick:
    """An optimisation: its place, the operations it serves, and the context that turns it off."""

    name: str
    where: str
    operations: tuple[str, ...]
    off: Callable[[Flask], AbstractContextManager[Any]]
    is_built_in: bool = False
    is_distant: bool = False
    """Whether the trick saves waiting: measured in wall time with a distant database."""


def instead(*replaced: tuple[Any, str, Any]) -> Callable[[Flask], AbstractContextManager[Any]]:
    """Replace attributes: (object, name, value)."""

    @contextmanager
    def replacing(_app: Flask) -> Iterator[None]:
        with ExitStack() as stack:
            for holder, name, value in replaced:
                stack.enter_context(patch.object(holder, name, value))
            yield

    return replacing


def uncached(holder: Any, name: str) -> Callable[[Flask], AbstractContextManager[Any]]:
    """Replace a cached function by the function below its `lru_cache`."""
    return instead((holder, name, getattr(holder, name).__wrapped__))


def together(
    *several: Callable[[Flask], AbstractContextManager[Any]],
) -> Callable[[Flask], AbstractContextManager[Any]]:
    """Turn several tricks off at once."""

    @contextmanager
    def all_of_them(app: Flask) -> Iterator[None]:
        with ExitStack() as stack:
            for off in several:
                stack.enter_context(off(app))
            yield

    return all_of_them
