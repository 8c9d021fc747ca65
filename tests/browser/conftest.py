"""A service for the browser's tests, and visits to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.visits import Visit, visitor
from tests.support.browser import NewContext
from tests.support.service import ServiceProcess


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The service in the development profile, one for all the tests of this process."""
    with ServiceProcess(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def visit(new_context: NewContext, service: ServiceProcess) -> Callable[..., Visit]:
    """Open a browser at the service: visit(viewport=…, color_scheme=…) → Visit."""

    def begin(**look: Any) -> Visit:
        return visitor(new_context, service, **look)

    return begin
