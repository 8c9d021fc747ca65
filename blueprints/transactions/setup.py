"""Put the transactions API and the merchants' websocket on the app."""

from __future__ import annotations

from flask_openapi import OpenAPI

from blueprints.transactions import merchant_ws, payment_routes, routes


def init_transactions(app: OpenAPI) -> None:
    """Serve `/transactions/`, `/api/start_payment`, `/watch/<code>` and `/api/merchant/ws`."""
    for bp in (routes.bp, payment_routes.bp, merchant_ws.bp):
        app.register_api(bp)
