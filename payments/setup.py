"""Register the routes and commands of payments."""

from __future__ import annotations

from flask_openapi import OpenAPI

from payments import (
    commands,
    confirmation_routes,
    privacy_commands,
    qr_routes,
    receipt_routes,
    refund_routes,
    routes,
)


def init_payments(app: OpenAPI) -> None:
    route_modules = (routes, receipt_routes, refund_routes, confirmation_routes, qr_routes)
    for bp in (module.bp for module in route_modules):
        app.register_api(bp)
    commands.register(app)
    privacy_commands.register(app)
