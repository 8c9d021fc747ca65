"""CSRF: a request by cookie that may change something must come from a page of this service.

- A sign-in has one CSRF token until it ends, so that a page can still be sent after its access
  token was renewed. Forms send the CSRF token as a field, scripts as a header.
- The forms of visitors who are not signed in (sign-in, sign-up) use OWASP's signed double-submit
  cookie: a random cookie, and the same value signed in the form. A program that is not a browser
  needs neither, because it has no cookies that another site could misuse.
- A websocket handshake carries no token: its Origin must be this service.
"""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

import structlog
from flask import Response, g, request
from itsdangerous import BadData

from accounts import modes, tokens
from config import Settings, current_parts, current_settings
from core.errors import CsrfFailed, Unauthorized
from core.signing.timed_texts import TimedTexts

HEADER, FIELD = "X-CSRF-TOKEN", "csrf_token"
FORM_COOKIE = "form"
FORM_SECONDS = 12 * 3600
ORIGIN_CHARACTERS_MAX = 200
REFUSED_ORIGINS_MAX = 100
"""Origins that this process has logged; no more are logged."""

ENDED, OTHER_SIGN_IN, TOO_OLD = "ended", "other-sign-in", "too-old"
NO_COOKIES, NO_TOKEN, OTHER_SITE = "no-cookies", "no-token", "other-site"
OTHER_MODE = "other-mode"
"""Why a form is refused; `kept_forms` has the words."""

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_refused_origins: set[str] = set()
log = structlog.get_logger()


class FormRefused(CsrfFailed):
    """A CsrfFailed with its reason, one of those above."""

    def __init__(self, detail: str, reason: str) -> None:
        self.reason = reason
        super().__init__(detail)


def key_for(settings: Settings) -> bytes:
    """The key of the CSRF tokens, derived from the key that signs access tokens."""
    return hmac.digest(tokens.signing_key(settings), b"forms", "sha256")


def sign_in_token(sign_in_id: str) -> str:
    """The CSRF token of a sign-in."""
    return hmac.digest(current_parts().csrf_key, sign_in_id.encode(), "sha256").hex()[:32]


def csrf_token() -> str:
    """The CSRF token for the forms (`csrf_token`) and scripts (X-CSRF-TOKEN) of this page."""
    token = g.get("renewed_access_token") or request.cookies.get(tokens.ACCESS_COOKIE)
    if token:
        try:
            return modes.token_for_page(tokens.read(token, "access").csrf)
        except Unauthorized:
            pass  # signed out, so the forms get a visitor's token
    return modes.token_for_page(visitor_token())


def read_access_cookie(token: str) -> tokens.Claims:
    """The claims of an access token from a cookie. Raises Unauthorized, and CsrfFailed.

    The access token is checked first, so an invalid cookie is a 401 even without a CSRF token.
    """
    claims = tokens.read(token, "access")
    if request.method in _SAFE_METHODS:
        return claims
    request_token = modes.plain_token()
    if not request_token:
        raise FormRefused(
            f"A request by cookie needs the header {HEADER} (the value of the cookie "
            f"{tokens.CSRF_COOKIE}) or the form field {FIELD}.",
            NO_TOKEN,
        )
    try:
        return tokens.read(token, "access", request_token)
    except CsrfFailed:
        raise FormRefused(
            "The CSRF token is of another sign-in: load the page again.", OTHER_SIGN_IN
        ) from None


def require_mode(is_test_mode: bool) -> None:
    """Refuse what a page of the other mode sends, so that each form acts in its own.

    Nobody may give real money back from a page that says *Teste*. Raises FormRefused.
    """
    if request.method in _SAFE_METHODS or modes.is_view_in_either_mode():
        return
    if modes.is_from_test_page() is not is_test_mode:
        raise FormRefused("Another tab changed the mode: load the page again.", OTHER_MODE)


def is_from_our_own_page() -> bool:
    """Whether a page of this service, or a program that is not a browser, opens the connection."""
    origin = request.headers.get("Origin")  # browsers always send it
    # Not `host_url`: Werkzeug would decode the host, and raises for a part that it cannot decode.
    return is_own_origin(origin, f"{request.scheme}://{request.host}", current_settings())


def is_own_origin(origin: str | None, host_url: str, settings: Settings) -> bool:
    """Whether this Origin is PUBLIC_URL's, or that of the request's own address.

    PUBLIC_URL counts also when a proxy sends its own Host. A refusal is logged once per origin. A
    request without Origin is from a program that is not a browser.
    """
    if origin is None:
        return True
    if _origin_of(origin) in (_origin_of(settings.public_url), _origin_of(host_url)):
        return True
    text = origin[:ORIGIN_CHARACTERS_MAX]
    if text not in _refused_origins and len(_refused_origins) < REFUSED_ORIGINS_MAX:
        _refused_origins.add(text)
        log.warning("origin.refused", origin=text, public_url=settings.public_url)
    return False


def _origin_of(url: str) -> str:
    """Scheme, host and port as a browser writes them: in lower case, without a default port."""
    try:
        parts = urlsplit(url)
        default = {"http": 80, "https": 443}.get(parts.scheme)
        port = "" if parts.port in (None, default) else f":{parts.port}"
    except ValueError:  # the port or the address is not valid
        return url
    host = (parts.hostname or "").lower()
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}" if host else url


def visitor_token() -> str:
    """The form token of a visitor who is not signed in; `keep_form_cookie` sends its cookie."""
    if "form_nonce" not in g:
        cookie = request.cookies.get(FORM_COOKIE, "")
        g.form_nonce = cookie if len(cookie) == 32 and cookie.isalnum() else secrets.token_hex(16)
    return str(_serializer().dumps(g.form_nonce))


def require_visitor_token() -> None:
    """Raise CsrfFailed if a browser sends a form that is not from a page of this service.

    A browser sends Origin, Sec-Fetch-Site or a cookie. A request with none of them is from a
    program, which has no cookies that another site could misuse.
    """
    is_browser = any(name in request.headers for name in ("Origin", "Sec-Fetch-Site", "Cookie"))
    if not is_browser:
        return
    cookie = request.cookies.get(FORM_COOKIE, "")
    if not cookie:
        raise FormRefused("The browser sent no cookies: allow them for this site.", NO_COOKIES)
    if not request.form.get(FIELD):
        raise FormRefused(f"The form field {FIELD} is missing: load the page again.", NO_TOKEN)
    too_old = FormRefused("The page was open for too long: load it again.", TOO_OLD)
    try:
        nonce = tokens.read_signed(_serializer(), request.form[FIELD], FORM_SECONDS)
    except BadData:
        raise too_old from None
    if not hmac.compare_digest(str(nonce).encode(), cookie.encode("utf-8", "replace")):
        raise too_old


def keep_form_cookie(response: Response) -> Response:
    """Set the cookie that the form of this page is compared with; an `after_request` hook."""
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


def _serializer() -> TimedTexts:
    return TimedTexts(current_settings().secret_key, salt="balcao form")
