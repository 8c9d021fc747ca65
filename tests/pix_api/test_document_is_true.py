"""Compare the served document of API Pix with the service, in a process of its own.

Hypothesis draws constants from the modules of this repository that are loaded. In a worker of the
suite these are other modules each time, so it would send other requests each time.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.service import ROOT


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_service_does_what_its_document_says() -> None:
    """No 5xx, no undocumented answer, and every invalid request is refused: document_check.py."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("PYTEST_")}
    child = subprocess.run(
        [*command, "tests/pix_api/document_check.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert child.returncode == 0, child.stdout[-5000:] + child.stderr[-2000:]
    assert "1 passed" in child.stdout
