"""Modules import each other by addresses with digests; each module has one address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from web.script_modules import STATIC, digest_of, with_digests, with_imports
from web.static_files import without_comments

ROOT = Path(__file__).resolve().parents[2]
OWN = sorted(path.relative_to(STATIC).as_posix() for path in (STATIC / "js").rglob("*.js"))
SPECIFIER = re.compile(
    r"""^\s*(?:import|export)\b[^;(]*?["'`]([^"'`]+)|\bimport\(\s*["'`]([^"'`]+)""", re.M
)


@pytest.mark.parametrize("name", OWN)
def test_each_import_has_the_address_that_a_tag_would_have(name):
    """A module under two addresses would run twice, each time with a state of its own."""
    sent = with_digests(name, without_comments((STATIC / name).read_text("utf-8"), ".js"))
    specifiers = [
        first or second for first, second in SPECIFIER.findall(sent) if "./" in first + second
    ]
    targets = []
    for specifier in specifiers:
        path, _, digest = specifier.partition("?v=")
        target = (STATIC / name).parent.joinpath(path).resolve().relative_to(STATIC).as_posix()
        assert digest == digest_of(target) != "0", specifier
        targets.append(target)
    assert set(targets) <= set(with_imports(name)[1:])
    assert len(re.findall(r"\.js\b", sent)) == len(specifiers), "an address that has no digest"


def test_the_imports_are_read_at_all():
    """The test above would hold for texts without imports, too."""
    imports = with_imports("js/checkout/checkout.js")
    assert imports[0] == "js/checkout/checkout.js"
    assert {"js/poller.js", "js/checkout/live_socket.js", "js/checkout/lead_back.js"} <= {*imports}
    assert sum(len(with_imports(name)) > 1 for name in OWN) > 8


def test_templates_name_scripts_by_their_digest():
    """An address without it would be a second one of the same module."""
    for path in (ROOT / "templates").rglob("*.html"):
        for line in path.read_text("utf-8").splitlines():
            if "<script" in line and "src=" in line:
                assert 'src="{{ asset(' in line, (path, line)


def test_modules_that_import_each_other_have_digests(tmp_path, monkeypatch):
    """A digest of digests would not end."""
    monkeypatch.setattr("web.script_modules.STATIC", tmp_path)
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\n')
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\nimport("./none.js");\n')
    before = {digest_of("a.js"), digest_of("b.js")}
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\n')
    assert before.isdisjoint({digest_of("a.js"), digest_of("b.js")})
    assert with_digests("b.js", 'import("./none.js");') == 'import("./none.js");'
