"""CSRF: a request by cookie that may change something proves that a page of ours made it.

- A sign-in has one token for as long as it stands, so that a page that stood open while the tokens
  changed can still be sent. Forms send it as a field, scripts as a header.
- The pages of strangers (sign-in, sign-up) have OWASP's signed double-submit cookie: a random
  cookie, and in the form the same value signed by us. A program that sends a form without being a
  browser has no cookie to be misused.
- A handshake of a websocket carries no token: its origin has to be ours.
"""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from flask import Response, g, request
from itsdangerous import BadData, URLSafeTimedSerializer

from accounts import tokens
from config import Settings, current_parts, current_settings
from core.errors import CsrfFailed, Unauthorized

HEADER, FIELD = "X-CSRF-TOKEN", "csrf_token"
FORM_COOKIE = "form"
FORM_SECONDS = 12 * 3600
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def key_for(settings: Settings) -> bytes:
    """The key of the sign-ins' tokens, derived from the one that signs access tokens."""
    return hmac.digest(tokens.signing_key(settings), b"forms", "sha256")


def sign_in_token(sign_in_id: str) -> str:
    """The token of a sign-in."""
    return hmac.digest(current_parts().csrf_key, sign_in_id.encode(), "sha256").hex()[:32]


def csrf_token() -> str:
    """The token for a form's field `csrf_token`, or the header X-CSRF-TOKEN, on this page."""
    token = g.get("renewed_access_token") or request.cookies.get(tokens.ACCESS_COOKIE)
    if token:
        try:
            return tokens.read(token, "access").csrf
        except Unauthorized:
            pass  # signed out: the page's forms are a stranger's
    return stranger_token()


def read_access_cookie(token: str) -> tokens.Claims:
    """The claims of an access token from a cookie. Raises Unauthorized, and CsrfFailed.

    The signature is looked at first: a cookie that opens nothing is a 401, whatever came with it.
    """
    claims = tokens.read(token, "access")
    if request.method in _SAFE_METHODS:
        return claims
    sent = request.headers.get(HEADER) or request.form.get(FIELD)
    if not sent:
        raise CsrfFailed(
            f"A request by cookie needs the header {HEADER} (the value of the cookie "
            f"{tokens.CSRF_COOKIE}) or the form field {FIELD}."
        )
    return tokens.read(token, "access", sent)


def is_from_our_own_page() -> bool:
    """Whether a page of this service opens the connection, or a program, which has no origin."""
    origin = request.headers.get("Origin")  # a browser always says; a program need not
    public = urlsplit(current_settings().public_url)
    own = (request.host_url.rstrip("/"), f"{public.scheme}://{public.netloc}")
    return origin is None or origin in own


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
        nonce = _serializer().loads(request.form.get(FIELD, ""), max_age=FORM_SECONDS)
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
