"""Put the shopper's routes on the app."""

from __future__ import annotations

from flask_openapi import OpenAPI

from blueprints.checkout import look_routes, page_routes, receipt_mail_routes, trace_routes
from blueprints.checkout.page_answers import PageAnswers
from config import Settings
from core.runtime.parts import Parts


def init_checkout(app: OpenAPI, settings: Settings, parts: Parts) -> None:
    """Serve the payment page, its receipt, the shop's look and the page's traces."""
    app.register_api(page_routes.bp)
    app.register_blueprint(look_routes.bp)
    app.register_blueprint(trace_routes.bp)
    app.register_blueprint(receipt_mail_routes.bp)
    app.wsgi_app = PageAnswers(app.wsgi_app, settings, parts)  # type: ignore[method-assign]
