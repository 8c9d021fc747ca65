"""Put recovery's API and page on the app."""

from __future__ import annotations

from flask_openapi import OpenAPI

from blueprints.recovery import page_routes, proof_page_routes, routes, session_routes


def init_recovery(app: OpenAPI) -> None:
    app.register_api(routes.bp)
    app.register_api(session_routes.bp)
    app.register_blueprint(page_routes.bp)
    app.register_blueprint(proof_page_routes.bp)
