"""Compile a template once per process instead of once per app.

Jinja keeps the code of a template in the environment of its app, and compiling is a third of the
time of a test that opens a few pages. The suite makes thousands of apps with the same templates.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any

from jinja2 import Environment

SYNTAX = (
    *("block_start_string", "block_end_string", "variable_start_string", "variable_end_string"),
    *("comment_start_string", "comment_end_string", "line_statement_prefix"),
    *("line_comment_prefix", "trim_blocks", "lstrip_blocks", "newline_sequence"),
    *("keep_trailing_newline", "optimized", "is_async", "autoescape", "newstyle_gettext"),
)
"""The options of an environment from which the code of a template is made."""


def share_templates() -> None:
    """Let every app of this process use the code that the first one compiled.

    The code names filters, tests and globals and looks them up in the environment of its app when
    it runs. Only a filter of a constant is computed by the compiler, so the names of filters and
    tests with the functions that they stand for are a part of the key.
    """
    compile_source: Callable[..., CodeType | str] = Environment.compile
    codes: dict[object, CodeType] = {}

    def shared_code(
        environment: Environment, source: Any, *others: Any, **options: Any
    ) -> CodeType | str:
        if not isinstance(source, str) or options or len(others) > len(("name", "filename")):
            return compile_source(environment, source, *others, **options)
        key = (source, others, _flavour(environment))
        if key not in codes:
            compiled = compile_source(environment, source, *others)
            assert isinstance(compiled, CodeType)
            codes[key] = compiled
        return codes[key]

    Environment.compile = shared_code  # type: ignore[method-assign, assignment]


def _flavour(environment: Environment) -> tuple[object, ...]:
    """What else the code of a template is made of."""
    options = {
        **{name: getattr(environment, name, None) for name in SYNTAX},
        **environment.policies,
        **{f"filter {name}": function for name, function in environment.filters.items()},
        **{f"test {name}": function for name, function in environment.tests.items()},
    }
    return (type(environment), *environment.extensions, *map(_comparable, options.items()))


def _comparable(option: tuple[str, Any]) -> object:
    """The option, equal for two apps if their values are: of a method, without its app."""
    name, value = option
    return name, getattr(value, "__func__", str(value) if isinstance(value, dict) else value)
