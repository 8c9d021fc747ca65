"""CSRF tokens: of a sign-in for whoever is signed in, of the browser for the sign-in page itself.

The second is OWASP's signed double-submit cookie: a random cookie, and in the form the same value
signed by us. A program that sends a form without being a browser has no cookie to be misused.
"""

from __future__ import annotations

import hmac
import secrets

from flask import Response, g, request
from itsdangerous import BadData, URLSafeTimedSerializer

from accounts import tokens
from config import current_settings
from core.errors import CsrfFailed, Unauthorized

FORM_COOKIE = "form"
FORM_SECONDS = 12 * 3600


def csrf_token() -> str:
    """The token for a form's field `csrf_token`, or the header X-CSRF-TOKEN, on this page."""
    token = g.get("renewed_access_token") or request.cookies.get(tokens.ACCESS_COOKIE)
    if token:
        try:
            return tokens.read(token, "access").csrf
        except Unauthorized:
            pass  # signed out: the page's forms are a stranger's
    return stranger_token()


def stranger_token() -> str:
    """The token for a form of somebody who is not signed in; its cookie goes with the answer."""
    if "form_nonce" not in g:
        known = request.cookies.get(FORM_COOKIE, "")
        g.form_nonce = known if len(known) == 32 and known.isalnum() else secrets.token_hex(16)
    return str(_serializer().dumps(g.form_nonce))


def require_stranger_token() -> None:
    """Raise CsrfFailed where a browser sends a form that is not from a page it got here.

    Browsers say where a form comes from (Origin, Sec-Fetch-Site), or send a cookie; what does
    neither is a program with nothing that a stranger's page could borrow.
    """
    is_browser = any(name in request.headers for name in ("Origin", "Sec-Fetch-Site", "Cookie"))
    if not is_browser:
        return
    try:
        nonce = _serializer().loads(request.form.get(tokens.CSRF_FIELD, ""), max_age=FORM_SECONDS)
    except BadData:
        raise CsrfFailed("The page stood open for too long: load it again.") from None
    known = request.cookies.get(FORM_COOKIE, "")
    if not hmac.compare_digest(str(nonce).encode(), known.encode("utf-8", "replace")):
        raise CsrfFailed("The page stood open for too long: load it again.")


def keep_form_cookie(response: Response) -> Response:
    """Send the cookie that the form on this page will be compared with."""
    nonce = g.get("form_nonce")
    if nonce is not None and request.cookies.get(FORM_COOKIE) != nonce:
        response.set_cookie(
            FORM_COOKIE,
            nonce,
            max_age=FORM_SECONDS,
            secure=current_settings().public_url.startswith("https://"),
            httponly=True,
            samesite="Lax",
        )
    return response


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_settings().secret_key, salt="balcao form")
