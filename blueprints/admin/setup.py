"""The administrators' routes, all on one blueprint."""

from __future__ import annotations

from flask import Flask

from accounts.deed_words import sentence_of
from blueprints.admin import account_routes, audit_routes, overview_routes
from blueprints.admin.page import bp

ROUTE_MODULES = (overview_routes, account_routes, audit_routes)


def init_admin(app: Flask) -> None:
    """Serve the administrators' pages."""
    app.add_template_filter(audit_routes.facts)
    app.add_template_filter(sentence_of, "deed_sentence")
    app.register_blueprint(bp)
