"""Fixtures of the doors' tests: the demo merchant is Alice, Charlie has a shop of his own."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.http.checks import add_merchant, client_of


@pytest.fixture
def charlie(app: Flask) -> FlaskClient:
    """Another merchant's client, with its own API key: a stranger to Alice's payments."""
    return client_of(app, add_merchant(app))
