"""Register the account routes and commands."""

from __future__ import annotations

from flask_openapi import OpenAPI

from accounts import (
    commands,
    csrf,
    kept_forms,
    key_routes,
    login_routes,
    people_routes,
    pix_ca,
    reset_routes,
)
from accounts.tokens import init_tokens
from config import Settings


def init_accounts(app: OpenAPI, settings: Settings) -> None:
    """Configure tokens; add the routes, the commands, and `csrf_token()` for templates."""
    init_tokens(app, settings)
    app.add_template_global(csrf.csrf_token)
    kept_forms.init_kept_forms(app)
    for bp in (people_routes.bp, login_routes.bp, key_routes.bp):
        app.register_api(bp)
    app.register_blueprint(reset_routes.bp)
    commands.register(app)
    pix_ca.register_commands(app)
