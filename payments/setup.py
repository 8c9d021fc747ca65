"""Register the routes and commands of payments."""

from __future__ import annotations

from flask_openapi import OpenAPI

from config import Settings
from core.runtime.parts import Parts
from payments import (
    charge_terms,
    commands,
    confirmation_routes,
    due_charges,
    due_location_routes,
    privacy_commands,
    qr_routes,
    receipt_routes,
    refund_routes,
    routes,
)
from payments.at_bank import callback_routes
from payments.qr_answers import QrAnswers
from payments.recurring import answer_routes, collection_routes, payload_routes
from payments.unchanged_polls import UnchangedPolls


def init_payments(app: OpenAPI, settings: Settings, parts: Parts) -> None:
    """Add the routes, the commands, and the filters by which pages write a payment."""
    route_modules = (
        routes,
        receipt_routes,
        refund_routes,
        confirmation_routes,
        qr_routes,
        due_location_routes,
        payload_routes,
        answer_routes,
        collection_routes,
        callback_routes,
    )
    for bp in (module.bp for module in route_modules):
        app.register_api(bp)
    app.add_template_filter(due_charges.amount_due_now, "amount_due")
    app.add_template_filter(charge_terms.amount_text, "amount_text")
    app.add_template_filter(routes.is_test, "is_test")
    app.wsgi_app = QrAnswers(app.wsgi_app, settings, parts)  # type: ignore[method-assign]
    app.wsgi_app = UnchangedPolls(app.wsgi_app, settings, parts)  # type: ignore[method-assign]
    commands.register(app)
    privacy_commands.register(app)
