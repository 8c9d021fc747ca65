"""What happens to a test whose part (a browser, a database server) is not on this machine.

It is left out, and the last lines of the run say which and why. Where everything is required
(`BALCAO_REQUIRE_ALL=1`, as in CI) it fails instead.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

REASON_PREFIX = "not here: "


class MissingPart(Exception):
    """A part the tests need is not on this machine; the text says which, and how to get it."""


def everything_is_required() -> bool:
    """Whether a missing part is a failure."""
    return os.environ.get("BALCAO_REQUIRE_ALL", "") not in {"", "0"}


def leave_out(part: MissingPart) -> NoReturn:
    """End the running test: skipped with a reason the summary shows, or failed where required."""
    if everything_is_required():
        pytest.fail(f"BALCAO_REQUIRE_ALL is set and a part is missing: {part}", pytrace=False)
    # The one place where a test is skipped: the machine lacks what it is about.
    pytest.skip(f"{REASON_PREFIX}{part}")
