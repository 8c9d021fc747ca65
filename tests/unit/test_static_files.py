"""Style sheets and scripts are sent without comments; their meaning and line numbers stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from web.static_files import without_comments

STATIC = Path(__file__).resolve().parents[2] / "static"
OWN = sorted(
    path.relative_to(STATIC).as_posix()
    for path in STATIC.rglob("*")
    if path.suffix in (".css", ".js") and "vendor" not in path.parts
)


@pytest.mark.parametrize(
    ("suffix", "source", "sent"),
    [
        (".css", "/* one\n   two */\na {\n  b: c; /* d */\n}\n", "\n\na {\nb: c;\n}\n"),
        (".js", "// one\nif (a) {\n  // two\n  b();\n}\n", "\nif (a) {\n\nb();\n}\n"),
        (".js", "/**\n * Says.\n */\nexport function a() {}\n", "\n\n\nexport function a() {}\n"),
        (".js", "  /** One line. */\n  a();\n", "\na();\n"),
        (".js", 'const a = "// no comment";\n', 'const a = "// no comment";\n'),
        (".js", "const a = b // c\n  / d;\n", "const a = b // c\n/ d;\n"),
        (".js", "import('./a/**/b.js');\n", "import('./a/**/b.js');\n"),
    ],
)
def test_comments_and_indentation_are_left_out(suffix, source, sent):
    """Only what stands in lines of its own is removed from a script."""
    assert without_comments(source, suffix) == sent


@pytest.mark.parametrize("name", OWN)
def test_a_line_keeps_its_number(name):
    """An error in a browser's console names a line that a developer finds in the source."""
    source = (STATIC / name).read_text("utf-8")
    sent = without_comments(source, Path(name).suffix)
    assert sent.count("\n") == source.count("\n")
    lines = zip(source.splitlines(), sent.splitlines(), strict=True)
    assert all(short in line for line, short in lines)


@pytest.mark.parametrize("name", [name for name in OWN if name.endswith(".js")])
def test_no_script_has_a_template_text_of_several_lines(name):
    """The spaces at the edges of its lines would be lost."""
    for line in (STATIC / name).read_text("utf-8").splitlines():
        if not line.lstrip().startswith(("//", "*", "/*")):
            assert line.count("`") % 2 == 0, line
