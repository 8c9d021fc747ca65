"""Keep browsers signed in: the refresh cookie renews an expired access token."""

from __future__ import annotations

from flask import Response, g, request

from accounts import sign_ins, tokens
from core.errors import BalcaoError, Unauthorized
from core.runtime.proxies import behind

PUBLIC = ("/healthz", "/readyz", "/metrics", "/static/", "/docs", "/payments/pix/qr_code/", "/qr/")
"""Paths without authentication: caches may store their answers, so these must set no cookies."""


def renew() -> None:
    """Refresh the tokens if only the refresh cookie is valid; a `before_request` hook."""
    if "HTTP_COOKIE" not in behind(request).environ:
        return
    refresh_token = request.cookies.get(tokens.REFRESH_COOKIE)
    if not refresh_token or "Authorization" in request.headers or request.path.startswith(PUBLIC):
        return
    try:
        tokens.read(request.cookies.get(tokens.ACCESS_COOKIE, ""), "access")
    except Unauthorized:
        try:
            g.renewed = sign_ins.refresh(refresh_token)
        except BalcaoError:
            return  # a view that needs an account raises the error again
        g.renewed_access_token = g.renewed.tokens.access_token


def hand_over(response: Response) -> Response:
    """Set the renewed cookies, or delete those of an ended sign-in; an `after_request` hook."""
    context = behind(g)
    if context.get("cookies_are_set"):  # this request was a sign-in or sign-out
        return response
    renewed: sign_ins.OpenSignIn | None = context.get("renewed")
    is_over = context.get("sign_in_is_over")
    if renewed is not None and not is_over:
        tokens.set_cookies(response, renewed.tokens, renewed.lifetime)
        response.headers["Cache-Control"] = "no-store"
    elif is_over:
        tokens.unset_cookies(response)
    return response
