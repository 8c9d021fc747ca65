"""The rules of the code in clients/: as in the product, and no import of the service or back."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests import test_names, test_tidy

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clients/python/src/balcao"
SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.fixture(autouse=True)
def files_of_the_package(monkeypatch: pytest.MonkeyPatch):
    """The rules read the package instead of the product."""
    monkeypatch.setattr(test_tidy, "product_files", lambda: SOURCES)


def test_the_sources_are_there():
    """A test that reads no file would always pass."""
    assert {"client.py", "signatures.py", "transport.py"} <= {path.name for path in SOURCES}


def test_the_package_imports_the_standard_library_alone():
    """It installs anywhere, and works with a service of another version.

    The plugin alone imports pytest, and nothing imports the plugin.
    """
    strays = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in SOURCES
        for line, name in test_tidy.imported(path)
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "balcao"}
        and (path.name, name) != ("plugin.py", "pytest")  # which loads it
    ]

    assert strays == []
    assert "balcao.testing.plugin" not in [
        name for path in SOURCES for _, name in test_tidy.imported(path)
    ]


def test_the_service_never_imports_the_package(monkeypatch: pytest.MonkeyPatch):
    """The image of the service does not contain it."""
    monkeypatch.undo()
    strays = [
        test_tidy.relative_path(path)
        for path in test_tidy.product_files()
        for _, name in test_tidy.imported(path)
        if name.partition(".")[0] == "balcao"
    ]

    assert strays == []


def test_modules_and_functions_of_the_package_stay_small():
    """As in the product."""
    test_tidy.test_modules_and_functions_stay_small()


def test_everything_public_of_the_package_says_what_it_promises():
    """As in the product."""
    test_tidy.test_everything_public_says_what_it_promises()


def test_no_name_of_the_package_is_a_participle_alone():
    """As in the product, in the package's tests too."""
    tests = sorted((ROOT / "clients/python/tests").glob("*.py"))
    wrong = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in [*SOURCES, *tests]
        for line, name in test_names.names_in(ast.parse(path.read_text("utf-8")))
        if name.strip("_") in test_names.PARTICIPLES
    ]

    assert tests
    assert wrong == []
