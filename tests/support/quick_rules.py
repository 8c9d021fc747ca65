"""Compile the URL builders of a rule once per process instead of once per app.

A builder is a function of Python that Werkzeug compiles for each rule of each app, which is nine
tenths of the time that an app takes to make. The suite makes thousands of apps with the same rules.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable
from types import FunctionType
from typing import Any

from werkzeug.routing import Rule

Builder = Callable[..., tuple[str, str]]

_builders: dict[tuple[Any, ...], Builder] = {}


def compiled_builders() -> bytes:
    """The builders that this process has compiled, for `share_builders` of another process."""
    return marshal.dumps({key: builder.__code__ for key, builder in _builders.items()})


def share_builders(compiled: bytes | None = None) -> None:
    """Let every app of this process use the builders that the first one compiled.

    A builder takes its rule as its first argument, so rules of several maps can share it. It is
    made of the rule's text, the parsed parts and the defaults alone; a rule with defaults compiles
    its own, because its converters are asked once and their answers are compiled in.
    `compiled` are the builders of another process with this version of Python.
    """
    compile_builder = Rule._compile_builder
    for key, code in marshal.loads(compiled).items() if compiled else ():  # noqa: S302 - our own
        _builders[key] = FunctionType(code, {})

    def shared_builder(rule: Rule, append_unknown: bool = True) -> Builder:
        if rule.defaults:
            return compile_builder(rule, append_unknown)
        key = (rule.rule, tuple(rule._trace), append_unknown)
        if key not in _builders:
            _builders[key] = compile_builder(rule, append_unknown)
        return _builders[key]

    Rule._compile_builder = shared_builder  # type: ignore[method-assign, assignment]
