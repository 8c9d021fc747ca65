"""Fixtures for the tests over HTTP: Alice is the demo merchant, Charlie another merchant."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.http.checks import add_merchant, client_of


@pytest.fixture
def charlie(app: Flask) -> FlaskClient:
    """The client of another merchant, with its own API key."""
    return client_of(app, add_merchant(app))
