"""Compile the URL builders of a rule once per process instead of once per app.

A builder is a function of Python that Werkzeug compiles for each rule of each app, which is nine
tenths of the time that an app takes to make. The suite makes thousands of apps with the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from werkzeug.routing import Rule

Builder = Callable[..., tuple[str, str]]


def share_builders() -> None:
    """Let every app of this process use the builders that the first one compiled.

    A builder takes its rule as its first argument, so rules of several maps can share it. It is
    made of the rule's text, the parsed parts and the defaults alone; a rule with defaults compiles
    its own, because its converters are asked once and their answers are compiled in.
    """
    compile_builder = Rule._compile_builder
    builders: dict[Hashable, Builder] = {}

    def shared_builder(rule: Rule, append_unknown: bool = True) -> Builder:
        if rule.defaults:
            return compile_builder(rule, append_unknown)
        key = (rule.rule, tuple(rule._trace), append_unknown)
        if key not in builders:
            builders[key] = compile_builder(rule, append_unknown)
        return builders[key]

    Rule._compile_builder = shared_builder  # type: ignore[method-assign, assignment]
