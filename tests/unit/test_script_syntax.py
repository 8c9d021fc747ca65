"""Our scripts use no syntax and no functions newer than the browsers that README.md names."""

from __future__ import annotations

import re

import pytest

from tests.test_tidy import ROOT, page_sources

# Newer than Safari 15, Chrome 85 or Firefox 90 (https://developer.mozilla.org, compatibility data).
NEWER = {
    "static block": r"\bstatic\s*\{",
    "lookbehind": r"\(\?<[=!]",
    "regular expression with v": r"/[dgimsuy]*v[dgimsuy]*\.(?:test|exec)",
    "import attributes": r"\bimport\b[^;]*\bwith\s*\{",
    "#name in object": r"#\w+\s+in\s",
    "Array.prototype.at": r"\.at\(",
    "Array.prototype.findLast": r"\.findLast(?:Index)?\(",
    "copying array methods": r"\.to(?:Sorted|Reversed|Spliced)\(",
    "grouping": r"\b(?:Object|Map)\.groupBy\(",
    "Object.hasOwn": r"\bObject\.hasOwn\(",
    "structuredClone": r"\bstructuredClone\(",
    "Promise.withResolvers": r"\bPromise\.(?:withResolvers|try)\(",
    "AbortSignal.timeout": r"\bAbortSignal\.(?:timeout|any)\(",
    "top-level await": r"^await\b",
}
MODULES_ONLY = r"\b(?:const|let|class|import|export|async|await)\b|=>|`|\?\.|\?\?"


def newer_words(source: str) -> list[str]:
    code = re.sub(r"(?m)^\s*(?://|/?\*).*$", "", source)
    return [name for name, pattern in NEWER.items() if re.search(pattern, code, re.M)]


def test_scripts_run_in_the_oldest_browsers_that_we_promise():
    """One newer word is a syntax error there, and the whole script is lost."""
    scripts = [path for path in page_sources() if path.suffix == ".js"]

    assert scripts
    assert {path.name: newer_words(path.read_text("utf-8")) for path in scripts} == {
        path.name: [] for path in scripts
    }


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("const last = list.at(-1);", "Array.prototype.at"),
        ("class A { static { start(); } }", "static block"),
        ("const words = text.split(/(?<=a)b/);", "lookbehind"),
    ],
)
def test_newer_syntax_is_found(source, name):
    """A check that finds nothing would pass for every script."""
    assert newer_words(source) == [name]


@pytest.mark.parametrize("folder", ["static/js", "bank/static/js"])
def test_the_watchdog_needs_no_module_syntax(folder):
    """It must speak where the main script is a syntax error."""
    source = (ROOT / folder / "watchdog.js").read_text("utf-8")

    assert re.findall(MODULES_ONLY, re.sub(r"(?m)^\s*//.*$", "", source)) == []
