"""What a trick is, and how it is turned off.

A trick is measured by turning it off: `off` puts the plain form in its place, for as long as the
context lasts. Where the form is chosen when the app is made, `is_built_in` is set, and a second app
is made in that context.
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
    """One optimisation: where it stands, the operations it is for, and how it is turned off."""

    name: str
    where: str
    operations: tuple[str, ...]
    off: Callable[[Flask], AbstractContextManager[Any]]
    is_built_in: bool = False
    is_distant: bool = False
    """Whether it saves waiting: measured by the wall's clock, with the database far away."""


def instead(*replaced: tuple[Any, str, Any]) -> Callable[[Flask], AbstractContextManager[Any]]:
    """Put other values in the place of attributes: (object, name, value)."""

    @contextmanager
    def replacing(_app: Flask) -> Iterator[None]:
        with ExitStack() as stack:
            for holder, name, value in replaced:
                stack.enter_context(patch.object(holder, name, value))
            yield

    return replacing


def uncached(holder: Any, name: str) -> Callable[[Flask], AbstractContextManager[Any]]:
    """Call the function below an `lru_cache` each time."""
    return instead((holder, name, getattr(holder, name).__wrapped__))


def another_hook(
    where: str, name: str, hook: Callable[..., Any]
) -> Callable[[Flask], AbstractContextManager[Any]]:
    """Put another function in the place of the hook of this name."""

    @contextmanager
    def replacing(app: Flask) -> Iterator[None]:
        hooks: list[Any] = getattr(app, where)[None]
        at = [getattr(one, "__name__", type(one).__name__) for one in hooks].index(name)
        kept, hooks[at] = hooks[at], hook
        try:
            yield
        finally:
            hooks[at] = kept

    return replacing


def together(
    *several: Callable[[Flask], AbstractContextManager[Any]],
) -> Callable[[Flask], AbstractContextManager[Any]]:
    """Turn several off at once."""

    @contextmanager
    def all_of_them(app: Flask) -> Iterator[None]:
        with ExitStack() as stack:
            for off in several:
                stack.enter_context(off(app))
            yield

    return all_of_them
