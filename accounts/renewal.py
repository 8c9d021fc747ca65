"""Browsers stay signed in: an access token that ran out is renewed by the refresh cookie unseen."""

from __future__ import annotations

from flask import Response, g, request

from accounts import sign_ins, tokens
from core.errors import BalcaoError, Unauthorized

PUBLIC = ("/healthz", "/readyz", "/metrics", "/static/", "/docs", "/payments/pix/qr_code/", "/qr/")
"""Where nobody is asked who they are: answers there may be kept by caches, cookies must not."""


def renew() -> None:
    """Before a request: if only its refresh cookie is good, change it for new tokens."""
    if "HTTP_COOKIE" not in request.environ:
        return
    spent = request.cookies.get(tokens.REFRESH_COOKIE)
    if not spent or "Authorization" in request.headers or request.path.startswith(PUBLIC):
        return
    try:
        tokens.read(request.cookies.get(tokens.ACCESS_COOKIE, ""), "access")
    except Unauthorized:
        try:
            g.renewed = sign_ins.refresh(spent)
        except BalcaoError:
            return  # whoever asks for an account finds none, or the database away
        g.renewed_access_token = g.renewed.tokens.access_token


def hand_over(response: Response) -> Response:
    """After a request: give the browser what was renewed, or take what opens nothing any more."""
    if g.get("cookies_are_set"):  # by a sign-in or sign-out of this very request
        return response
    renewed: sign_ins.OpenSignIn | None = g.get("renewed")
    is_over = g.get("sign_in_is_over")
    if renewed is not None and not is_over:
        tokens.set_cookies(response, renewed.tokens, renewed.left)
        response.headers["Cache-Control"] = "no-store"
    elif is_over:
        tokens.unset_cookies(response)
    return response
