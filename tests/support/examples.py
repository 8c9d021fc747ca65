"""The examples in documents: code blocks with a mark before them, which tests run.

A block after `<!-- run -->` is run, and one after `<!-- file: NAME -->` is a file. The block after
`<!-- answer -->` is the expected output, in which `…` matches any text and white space is ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

ADDRESS = "http://127.0.0.1:5000"
"""The service's address in the documents."""
_MARKED = re.compile(r"<!-- (run(?:: \w+)?|file: [\w./-]+|answer) -->\n```\w+\n(.*?)```", re.S)


@dataclass
class Example:
    """A block to run and, if the document shows it, its output."""

    document: str
    kind: str
    """The text of the mark."""
    text: str
    answer: str | None = None


def examples_in(document: str, whole: str) -> list[Example]:
    """The marked blocks of a document's text, in order."""
    examples: list[Example] = []
    for mark, text in _MARKED.findall(whole):
        if mark == "answer":
            examples[-1].answer = text
        else:
            examples.append(Example(document, mark, text))
    return examples


def assert_prints(example: Example, output: str, address: str) -> None:
    """Compare the output with the document."""
    assert example.answer, f"{example.document} shows no answer to:\n{example.text}"
    expected = re.sub(r"\s+", "", example.answer.replace(ADDRESS, address))
    pattern = ".*?".join(re.escape(part) for part in expected.split("…"))
    if re.fullmatch(pattern, re.sub(r"\s+", "", output)) is None:
        pytest.fail(  # without the traceback, which repeats both answers in one line each
            f"{example.document} shows another answer to\n\n{example.text}\n"
            f"{differing_lines(example.answer, output)}\n\n"
            "Correct the answer there; `…` stands for what changes from run to run.",
            pytrace=False,
        )


def differing_lines(expected: str, output: str) -> str:
    """The members that only one of two answers has, each on its own line."""

    def pieces(text: str) -> list[str]:
        return [piece.strip() for piece in re.split(r"(?<=[,{}\n])", text) if piece.strip()]

    def name(piece: str) -> str:
        return piece.partition(":")[0]

    names_shown = {name(piece) for piece in pieces(expected)}
    names_printed = {name(piece) for piece in pieces(output)}
    lines = [
        f"  only in the document: {p}" for p in pieces(expected) if name(p) not in names_printed
    ]
    lines += [f"  only in the answer: {p}" for p in pieces(output) if name(p) not in names_shown]
    return "\n".join(lines) or f"  the document:\n{expected}\n  the answer:\n{output}"
