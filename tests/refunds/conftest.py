"""The service with the simulated bank, so that refunds move money."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.town import Town, town


@pytest.fixture
def here(fresh_database, tmp_path) -> Iterator[Town]:
    """The service and the bank on SQLite."""
    with town(fresh_database("sqlite"), tmp_path) as new_town:
        yield new_town


@pytest.fixture
def anywhere(any_database_url, tmp_path) -> Iterator[Town]:
    """The service and the bank on each database engine in turn."""
    with town(any_database_url, tmp_path) as new_town:
        yield new_town
