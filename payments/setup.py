"""Register the routes and commands of payments."""

from __future__ import annotations

from flask_openapi import OpenAPI

from payments import (
    commands,
    confirmation_routes,
    privacy_commands,
    qr_routes,
    refund_routes,
    routes,
)


def init_payments(app: OpenAPI) -> None:
    for bp in (routes.bp, refund_routes.bp, confirmation_routes.bp, qr_routes.bp):
        app.register_api(bp)
    commands.register(app)
    privacy_commands.register(app)
