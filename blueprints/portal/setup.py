"""Register the portal; the modules below add their routes to its blueprint."""

from __future__ import annotations

from flask import Flask

from blueprints.portal import (
    activity_routes,
    client_routes,
    counter_routes,
    developer_routes,
    export_routes,
    home_routes,
    list_routes,
    mode_routes,
    new_payment_routes,
    payment_routes,
    poster_routes,
    proof_routes,
    provider_routes,
    receipt_routes,
    settings_routes,
    signal_routes,
    webhook_routes,
)
from blueprints.portal.page import bp
from core.documents import mask_document

ROUTE_MODULES = (
    home_routes,
    mode_routes,
    list_routes,
    export_routes,
    new_payment_routes,
    counter_routes,
    payment_routes,
    poster_routes,
    proof_routes,
    receipt_routes,
    signal_routes,
    settings_routes,
    activity_routes,
    developer_routes,
    client_routes,
    webhook_routes,
    provider_routes,
)


def init_portal(app: Flask) -> None:
    """Serve the portal."""
    app.add_template_filter(mask_document, "masked")
    app.add_template_filter(client_routes.short_scopes, "short_scopes")
    app.register_blueprint(bp)
