"""Put the demo shop on the app."""

from __future__ import annotations

from flask import Flask

from blueprints.shop import routes


def init_shop(app: Flask) -> None:
    """Serve the shop; its routes answer only in the development profile."""
    app.register_blueprint(routes.bp)
