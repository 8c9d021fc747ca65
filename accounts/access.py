"""Who asks, and for whom they may act.

Three kinds of credentials: an API key or an access token in `Authorization: Bearer`, or the access
token in the cookie of a browser, which needs the CSRF token with every request that may change
something. Each is looked up in the database for every request, by one statement: what was revoked
opens nothing from then on, in any process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any

from flask import g, redirect, request
from flask.typing import ResponseReturnValue

from accounts import csrf, keys, tokens
from accounts.local_paths import login_path
from config import current_settings
from core.errors import Forbidden, NotFound, Unauthorized
from db_models import Account
from db_models.account import ADMIN, MERCHANT, PAYER
from repository.database import Work, reading

DEMO_LOGIN = "demo"


@dataclass(frozen=True)
class Caller:
    """Who sent the request, and by what."""

    account: Account
    scopes: frozenset[str] | None
    """What an API key may do; None for whoever signed in, who may do everything."""
    sign_in_id: str | None
    """The sign-in of a token or cookie."""
    by_cookie: bool = False
    key_id: int | None = None
    """The row of an API key."""
    key_public_id: str | None = None
    expires_at: datetime | None = None
    """When the access token itself ends; its sign-in may go on."""

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the credentials may do this."""
        if self.scopes is not None and scope not in self.scopes:
            raise Forbidden(f"This API key lacks the scope {scope}.")


def caller_by_token(work: Work, token: str | None) -> Caller:
    """Whose API key or access token this is. Raises Unauthorized."""
    if not token or len(token) > tokens.TOKEN_CHARACTERS_MAX or not token.isascii():
        raise Unauthorized("An API key or an access token is needed.")
    if token.startswith(keys.PREFIX):
        return _caller_by_key(work, token)
    return _signed_in(work, tokens.read(token, "access"))


def current_caller(work: Work) -> Caller:
    """Who sent this request. Raises Unauthorized, and CsrfFailed for a cookie without its token."""
    known: Caller | None = g.get("caller")
    if known is None:
        known = g.caller = _identified(work)
    return known


def acting_account(work: Work) -> Account:
    """The account this request acts for. Raises as `current_caller` does."""
    return current_caller(work).account


def acting_merchant(work: Work, scope: str = "payments:read") -> Account:
    """The merchant this request acts for, if its credentials have the scope.

    Without credentials it is the demo merchant, in the development profile alone. Raises
    Unauthorized or Forbidden otherwise; wrong credentials are refused in every profile.
    """
    if has_credentials() or not current_settings().is_development:
        return signed_in_merchant(work, scope)
    demo = work.recent.get(DEMO_LOGIN, lambda: work.accounts.find_by_login(DEMO_LOGIN))
    if demo is None:
        raise Unauthorized("Send Authorization: Bearer with an API key or an access token.")
    return demo


def signed_in_merchant(work: Work, scope: str = "payments:read") -> Account:
    """The merchant this request acts for; never the demo merchant by itself."""
    caller = current_caller(work)
    account = _in_role(caller.account, MERCHANT)
    caller.require(scope)
    return account


def acting_payer(work: Work) -> Account:
    """The payer this request acts for. Raises Unauthorized or Forbidden."""
    return _in_role(acting_account(work), PAYER)


def acting_admin(work: Work) -> Account:
    """The administrator this request acts for. Raises Unauthorized or Forbidden."""
    return _in_role(acting_account(work), ADMIN)


def page_guard(*roles: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A page for whoever signed in with one of these roles; without any, for all who signed in.

    Others are led to the sign-in and back, or refused with 403. Inside, `g.account_id` is the row
    of the account, and `acting_account` costs no further statement.
    """

    def guard(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            try:
                with reading() as work:
                    account = acting_account(work)
            except Unauthorized:
                return to_login()
            if roles and account.role not in roles:
                raise Forbidden("This page is for others: sign in with another account.")
            g.account_id = account.id
            return view(*args, **kwargs)

        return guarded

    return guard


def to_login() -> ResponseReturnValue:
    """The way to the sign-in page, and from there back to what was asked for."""
    return redirect(login_path(), 303)


def has_credentials() -> bool:
    """Whether the request came with any, good or bad."""
    return (
        "Authorization" in request.headers
        or tokens.ACCESS_COOKIE in request.cookies
        or tokens.REFRESH_COOKIE in request.cookies
    )


def development_only(view: Callable[..., Any]) -> Callable[..., Any]:
    """Make a route exist in the development profile alone: elsewhere it is a plain 404."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not current_settings().is_development:
            raise NotFound
        return view(*args, **kwargs)

    return guarded


def _identified(work: Work) -> Caller:
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized("Authorization must be: Bearer and an API key or access token.")
        return caller_by_token(work, token.strip())
    kept: str | None = g.get("renewed_access_token") or request.cookies.get(tokens.ACCESS_COOKIE)
    if not kept:
        raise Unauthorized("Send Authorization: Bearer with an API key or an access token.")
    try:
        return _signed_in(work, csrf.read_access_cookie(kept), by_cookie=True)
    except Unauthorized:
        g.sign_in_is_over = True  # the browser is told to forget what opens nothing any more
        raise


def _signed_in(work: Work, claims: tokens.Claims, *, by_cookie: bool = False) -> Caller:
    account = work.accounts.find_signed_in(claims.account_public_id, claims.sign_in_id, work.now)
    if account is None:
        raise Unauthorized("This sign-in has ended.")
    return Caller(
        account, None, claims.sign_in_id, by_cookie=by_cookie, expires_at=claims.expires_at
    )


def _caller_by_key(work: Work, key: str) -> Caller:
    if not keys.is_for_this_profile(key):
        raise Unauthorized("This API key is for the other profile: test and live are apart.")
    found = work.accounts.find_by_key_sha256(keys.key_hash(key))
    if found is None:
        raise Unauthorized("This API key is unknown or revoked.")
    account, row = found
    keys.key_uses().note(row.id, work.now)
    scopes = frozenset(row.scopes.split())
    return Caller(account, scopes, None, key_id=row.id, key_public_id=row.public_id)


def _in_role(account: Account, role: str) -> Account:
    if account.role != role:
        raise Forbidden(f"This is for a {role}; the account is a {account.role}.")
    return account
