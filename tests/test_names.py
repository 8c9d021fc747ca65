"""Names: things have nouns, actions have verbs, and a class name means one thing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.test_tidy import ROOT, product_files, relative_path, tree_of

PARTICIPLES = frozenset(
    """asked brought chosen done drawn found given gone heard held kept known made meant met named
    offered remembered said seen shown spoken standing taken thought told tried typed untold wanted
    whoever wished""".split()  # noqa: SIM905 - a list would fill a page
)
TABLE_COLUMNS = {("bank/models.py", "drawn")}
"""How many times the bank's chaos has drawn; renaming a column costs a migration."""
SAME_MEANING = {
    "CardRefused",
    "InsufficientFunds",
    "OverLimit",
    "PinLocked",
    "PinRefused",
    "RefundTooLate",
    "UtcDateTime",
    "WalletExists",
}
"""The bank is another application; these of its classes mean there what they mean here."""


def test_a_class_name_means_one_thing():
    """Two classes with one name confuse readers, searches and tracebacks."""
    homes: dict[str, list[str]] = {}
    for path in product_files():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name.lstrip("_"), []).append(relative_path(path))

    twice = {name: files for name, files in homes.items() if len(files) > 1}
    assert {name: files for name, files in twice.items() if name not in SAME_MEANING} == {}
    assert twice.keys() >= SAME_MEANING, "an exception that is no longer needed"


def names_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each name that a module gives to a variable, an argument, a field or a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.name


def python_files() -> list[Path]:
    """Product, scripts, benchmarks, migrations and tests."""
    others = ("benchmarks", "migrations", "scripts", "tests")
    return [*product_files(), *(path for name in others for path in (ROOT / name).rglob("*.py"))]


def test_a_name_is_no_participle_alone():
    """With `found` or `told` the reader must search for the thing that is meant."""
    wrong = [
        f"{relative_path(path)}:{line} {name}"
        for path in python_files()
        for line, name in names_in(tree_of(path))
        if name.strip("_") in PARTICIPLES and (relative_path(path), name) not in TABLE_COLUMNS
    ]

    assert wrong == []


def test_a_participle_would_be_seen():
    """Tests the search itself: variables, arguments, fields and functions."""
    source = "kept = 1\ndef _told(asked): ...\nclass A:\n    shown: int = 0\n"

    assert {name for _, name in names_in(ast.parse(source))} == {"kept", "_told", "asked", "shown"}
