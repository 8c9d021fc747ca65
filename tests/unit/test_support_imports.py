"""Tests of pure rules do not load the app; a run without the tests' packages says what to do."""

import json
import subprocess
import sys
import textwrap

from tests.support.order import ROOT

PURE = ("test_money.py", "test_br_code.py", "test_pix_key.py", "test_clock.py", "test_offload.py")
SLOW_TO_IMPORT = ("app", "config", "flask", "sqlalchemy", "pydantic", "playwright", "schemathesis")


def test_a_pure_rule_is_tested_without_the_app():
    """The app alone takes longer to import than these tests take to run."""
    run = python(f"""
        import json, sys, pytest
        pytest.main(["-qq", "--collect-only", *{[f"tests/unit/{name}" for name in PURE]}])
        print(json.dumps(sorted(sys.modules)))
    """)
    imported = json.loads(run.stdout.splitlines()[-1])
    assert "core.money" in imported
    assert not set(SLOW_TO_IMPORT) & set(imported)


def test_a_run_without_the_tests_packages_says_in_one_sentence_how_to_get_them():
    """After `make install` there is pytest, but not what the tests import."""
    run = python("""
        import sys, pytest
        class WithoutHypothesis:
            @pytest.hookimpl(tryfirst=True)
            def pytest_load_initial_conftests(self):
                sys.modules["hypothesis"] = None
        pytest.main(["tests/unit/test_money.py"], plugins=[WithoutHypothesis()])
    """)
    assert run.returncode == 1
    assert "make test" in run.stderr
    assert run.stderr.count("\n") == 1


def python(program: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a process of its own, in the project's folder."""
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
