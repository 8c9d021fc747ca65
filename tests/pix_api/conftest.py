"""Fixtures: API Pix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.pix_api.clients import PixClient, new_client
from tests.portal.signing import make_account
from tests.support.service import close_app, ready_app, settings_for


@pytest.fixture
def pix_client(app: Flask) -> PixClient:
    """A client of Alice, who is a merchant."""
    make_account(app, "alice")
    return new_client(app, "alice", ["cob.read", "cob.write", "pix.read"])


@pytest.fixture
def each_app(any_database_url: str, tmp_path: Path, clock: Any) -> Iterator[Flask]:
    """The app on each engine."""
    app = ready_app(settings_for(any_database_url, tmp_path), clock)
    yield app
    close_app(app)
