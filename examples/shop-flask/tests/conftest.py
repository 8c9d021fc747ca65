"""The shop under test, connected to the fixture `balcao` of Balcão's pytest plugin."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from customer import Customer
from flask import Flask
from shop import create_shop

from balcao.testing import Sandbox


@pytest.fixture
def app(balcao: Sandbox, tmp_path: Path) -> Flask:
    """The shop of a new merchant, with an empty database; it gets the merchant's webhooks."""
    app = create_shop(balcao.client, balcao.webhooks.secret, tmp_path / "shop.sqlite3")

    def hand_over(headers: Mapping[str, str], body: bytes) -> int:
        return (
            app.test_client().post("/webhooks/balcao", headers=dict(headers), data=body).status_code
        )

    balcao.webhooks.forward_to(hand_over)
    return app


@pytest.fixture
def customer(app: Flask, balcao: Sandbox) -> Customer:
    """A customer of the shop."""
    return Customer(app, balcao)
