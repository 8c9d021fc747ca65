"""What the app gets from this folder: tokens, renewal, CSRF, doors, commands."""

from __future__ import annotations

from flask_openapi import OpenAPI

from accounts import commands, csrf, key_routes, login_routes, people_routes, renewal
from accounts.keys import KeyUses
from accounts.tokens import init_tokens
from config import Settings


def init_accounts(app: OpenAPI, settings: Settings) -> None:
    """Attach everything that has to do with who asks."""
    init_tokens(app, settings)
    app.extensions["balcao_key_uses"] = KeyUses()
    app.add_template_global(csrf.csrf_token)
    app.before_request(renewal.renew)
    app.after_request(renewal.hand_over)
    app.after_request(csrf.keep_form_cookie)
    for door in (people_routes.bp, login_routes.bp, key_routes.bp):
        app.register_api(door)
    commands.register(app)
