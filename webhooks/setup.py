"""Register the routes of webhooks and of the event feed."""

from __future__ import annotations

from flask_openapi import OpenAPI

from webhooks import event_routes, routes


def init_webhooks(app: OpenAPI) -> None:
    app.register_api(routes.bp)
    app.register_api(event_routes.bp)
