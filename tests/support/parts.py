"""Skipping tests whose part (a browser, a database server) is not installed.

The last lines of the run list the skipped tests with the reason. With `BALCAO_REQUIRE_ALL=1`, as in
CI, they fail instead.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

REASON_PREFIX = "not here: "


class MissingPart(Exception):
    """A part is not installed; the text says which one and how to install it."""


def everything_is_required() -> bool:
    """Whether a missing part fails the test."""
    return os.environ.get("BALCAO_REQUIRE_ALL", "") not in {"", "0"}


def leave_out(part: MissingPart) -> NoReturn:
    """Skip the running test with a reason for the summary, or fail it if everything is required."""
    if everything_is_required():
        pytest.fail(f"BALCAO_REQUIRE_ALL is set and a part is missing: {part}", pytrace=False)
    # The only place that skips a test: a part that the test needs is not installed.
    pytest.skip(f"{REASON_PREFIX}{part}")
