"""A service whose bank is real, so that money really moves back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.town import Town, town


@pytest.fixture
def here(fresh_database, tmp_path) -> Iterator[Town]:
    """Both on SQLite."""
    with town(fresh_database("sqlite"), tmp_path) as found:
        yield found


@pytest.fixture
def anywhere(any_database_url, tmp_path) -> Iterator[Town]:
    """Both on each engine in turn."""
    with town(any_database_url, tmp_path) as found:
        yield found
