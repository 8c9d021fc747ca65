"""The example shop's own tests, run as its developer runs them, on two workers at once."""

from __future__ import annotations

import ast

from tests.clients.plugin_runs import ROOT, install, outcomes, run_pytest

SHOP = ROOT / "examples/shop-flask"


def test_the_tests_of_the_example_shop_pass(tmp_path):
    """Each worker has a service of its own. A test that is skipped would prove nothing."""
    source = (SHOP / "tests/test_shop.py").read_text("utf-8")
    names = [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    site = install(tmp_path / "site")

    status, output = run_pytest(site, SHOP, "--balcao", "-n", "2", f"--basetemp={tmp_path / 'run'}")

    assert status == 0, output
    assert outcomes(output) == {"passed": len(names)}, output
    assert len(names) >= 10
