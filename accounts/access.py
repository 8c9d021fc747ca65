"""Authenticate a request: which account it acts for, and what it may do.

There are three kinds of credentials: an API key or an access token in `Authorization: Bearer`, and
the access token in a browser's cookie. A request by cookie that may change something needs the CSRF
token as well. Every request looks its credentials up in the database, by one statement, so that a
revoked credential is refused at once. A look-up is reused for at most two seconds where Redis tells
each process of changes, and that of an API key where the COMMIT verifies it
(docs/decisions/0093-remembered-callers.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from typing import Any

from flask import g, redirect, request
from flask.typing import ResponseReturnValue

from accounts import csrf, kept_forms, keys, modes, tokens
from accounts.local_paths import login_path
from config import current_settings
from core.errors import CsrfFailed, Forbidden, NotFound, Unauthorized
from db_models import Account, ApiKey
from db_models.account import ADMIN, MERCHANT, PAYER
from repository.database import Work, ledger, reading

DEMO_LOGIN = "demo"


class PeopleOnly(Forbidden):
    """An API key or a token asks for a page, which is for people who sign in with a browser."""

    code = "people-only"
    title = "This page is for people who are signed in with a browser"


@dataclass(frozen=True)
class Caller:
    """The account that sent a request, and the credentials it used."""

    account: Account
    """In test mode, and for a test key, the merchant's test half."""
    scopes: frozenset[str] | None
    """The scopes of an API key; None for a sign-in, which may do everything."""
    sign_in_id: str | None
    """The sign-in of a token or cookie; None for an API key."""
    by_cookie: bool = False
    key_id: int | None = None
    """The row id of an API key."""
    key_public_id: str | None = None
    key_name: str | None = None
    """The API key's label and visible beginning, by which its owner recognises it."""
    expires_at: datetime | None = None
    """When the access token expires; its sign-in may last longer."""
    merchant: Account | None = None
    """In test mode, the merchant that signed in."""

    @property
    def is_test_mode(self) -> bool:
        """Whether a browser acts for the test half of the merchant that signed in."""
        return self.merchant is not None

    @property
    def owner(self) -> Account:
        """The account that signed in, in both modes; of an API key, the key's account."""
        return self.account if self.merchant is None else self.merchant

    def may(self, scope: str) -> bool:
        """Whether the credentials have the scope."""
        return self.scopes is None or scope in self.scopes

    def require(self, scope: str) -> None:
        """Raise Forbidden if the credentials lack the scope."""
        if not self.may(scope):
            raise Forbidden(f"This API key lacks the scope {scope}.")


def caller_by_token(work: Work, token: str | None) -> Caller:
    """The caller with this API key or access token. Raises Unauthorized."""
    if not token or len(token) > tokens.TOKEN_CHARACTERS_MAX or not token.isascii():
        raise Unauthorized("An API key or an access token is needed.")
    if token.startswith(keys.PREFIX):
        return _caller_by_key(work, token)
    return _caller_by_claims(work, tokens.read(token, "access"))


def current_caller(work: Work) -> Caller:
    """The caller of this request, authenticated once, and once more after `forget_caller`.

    Raises Unauthorized, and CsrfFailed for a cookie without the CSRF token.
    """
    caller: Caller | None = g.get("caller")
    if caller is None:
        caller = g.caller = _authenticate(work)
    return caller


def forget_caller() -> None:
    """Let the next unit of work authenticate this request again.

    For a request that has waited for a bank and now decides something: its credentials may have
    been revoked meanwhile. A request that only finishes what it has stored needs no second look-up,
    because its client would lose the answer.
    """
    g.pop("caller", None)


def acting_account(work: Work) -> Account:
    """The account this request acts for. Raises as `current_caller` does."""
    return current_caller(work).account


def acting_merchant(work: Work, scope: str = "payments:read") -> Account:
    """The merchant this request acts for.

    Without credentials that is the demo merchant, in development only; wrong credentials are
    refused there too. Raises Unauthorized, and Forbidden for another role or a missing scope.
    """
    if has_credentials() or not current_settings().is_development:
        return signed_in_merchant(work, scope)
    demo = work.recent.get(DEMO_LOGIN, lambda: work.accounts.find_by_login(DEMO_LOGIN))
    if demo is None:
        raise Unauthorized("Send Authorization: Bearer with an API key or an access token.")
    return demo


def signed_in_merchant(work: Work, scope: str = "payments:read") -> Account:
    """As `acting_merchant`, but a request without credentials is refused in development too."""
    caller = current_caller(work)
    account = _in_role(caller.account, MERCHANT)
    caller.require(scope)
    return account


def is_merchant(work: Work, merchant_id: int, token: str | None = None) -> bool:
    """Whether this token, or else the request's credentials, may read this merchant's payments.

    For routes that are open to everybody with a link: wrong credentials do not raise, they give the
    public view. A cookie counts only for pages of our own origin.
    """
    if token is None and not has_credentials():
        return False
    try:
        caller = current_caller(work) if token is None else caller_by_token(work, token)
    except (Unauthorized, CsrfFailed):
        return False
    if caller.by_cookie and not csrf.is_from_our_own_page():
        return False
    return caller.account.id == merchant_id and caller.may("payments:read")


def signed_in_owner(work: Work, scope: str = "account:write") -> Account:
    """As `signed_in_merchant`, but in test mode the merchant itself: what both halves share."""
    signed_in_merchant(work, scope)
    return current_caller(work).owner


def acting_payer(work: Work) -> Account:
    """The payer this request acts for. Raises Unauthorized or Forbidden."""
    return _in_role(acting_account(work), PAYER)


def acting_admin(work: Work) -> Account:
    """The administrator this request acts for. Raises Unauthorized or Forbidden."""
    return _in_role(acting_account(work), ADMIN)


def page_guard(*roles: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Show a page only to people with one of these roles; without roles, to everybody signed in.

    A page asks for no scopes, so it needs the session's cookie: an API key or a token gets a 403,
    whatever it may do. A visitor who is not signed in is redirected to the sign-in page, or sees
    again the form that a page of this service sent; another role gets a 403. The same happens to a
    sign-in that ends before the view authenticates again (`forget_caller`). In the view,
    `g.account_id` is the account's row id, and `acting_account` needs no statement.
    """

    def guard(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            try:
                with reading() as work:
                    caller = current_caller(work)
            except Unauthorized:
                return _sign_in_first()
            if not caller.by_cookie:
                raise PeopleOnly(
                    "Pages are for people. A program uses the API; a person signs in at /login."
                )
            modes.require_page_mode(caller.is_test_mode)
            account = caller.account
            if roles and account.role not in roles:
                raise Forbidden("This account cannot see this page: sign in with another account.")
            g.account_id = account.id
            try:
                return view(*args, **kwargs)
            except Unauthorized:
                if "caller" in g:  # the sign-in stands: the view refuses something else
                    raise
                return _sign_in_first()

        return guarded

    return guard


def _sign_in_first() -> ResponseReturnValue:
    """The answer to a page of a browser that is not signed in."""
    return kept_forms.ended_page() if kept_forms.is_kept() else redirect_to_login()


def redirect_to_login() -> ResponseReturnValue:
    """Redirect to the sign-in page, which leads back to the requested page."""
    return redirect(login_path(), 303)


def has_credentials() -> bool:
    """Whether the request has credentials, valid or not."""
    environ = request.environ
    if "HTTP_AUTHORIZATION" in environ:
        return True
    if "HTTP_COOKIE" not in environ:  # most programs: there is nothing to parse
        return False
    cookies = request.cookies
    return tokens.ACCESS_COOKIE in cookies or tokens.REFRESH_COOKIE in cookies


def development_only(view: Callable[..., Any]) -> Callable[..., Any]:
    """Serve a route in development only; in production it answers 404."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not current_settings().is_development:
            raise NotFound
        return view(*args, **kwargs)

    return guarded


def _authenticate(work: Work) -> Caller:
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized("Authorization must be: Bearer and an API key or access token.")
        return caller_by_token(work, token.strip())
    cookie: str | None = g.get("renewed_access_token") or request.cookies.get(tokens.ACCESS_COOKIE)
    if not cookie:
        raise Unauthorized("Send Authorization: Bearer with an API key or an access token.")
    try:
        caller = _caller_by_cookie(work, _claims_of_cookie(cookie))
    except Unauthorized:
        g.sign_in_is_over = True  # `renewal` then deletes the cookies
        raise
    csrf.require_mode(caller.is_test_mode)
    return caller


def _claims_of_cookie(cookie: str) -> tokens.Claims:
    """The claims of the access token, checked once per request.

    A token that expires while its request waits for a bank ends no sign-in: the browser renews the
    token with its next request. Whether the sign-in has ended is only in the database.
    """
    claims: tokens.Claims | None = g.get("cookie_claims")
    if claims is None:
        claims = g.cookie_claims = csrf.read_access_cookie(cookie)
    return claims


def _caller_by_cookie(work: Work, claims: tokens.Claims) -> Caller:
    if not modes.is_asked_for(claims.sign_in_id):
        return _caller_by_claims(work, claims, by_cookie=True)
    who = (claims.account_public_id, claims.sign_in_id)
    halves = ledger().callers.find(
        ("halves", *who),
        work.now,
        lambda: work.accounts.find_signed_in_halves(*who, work.now),
        work.caller_answers,
    )
    if halves is None:
        raise Unauthorized("This sign-in has ended.")
    merchant, half = halves
    return Caller(
        half or merchant,
        None,
        claims.sign_in_id,
        by_cookie=True,
        expires_at=claims.expires_at,
        merchant=None if half is None else merchant,
    )


def _caller_by_claims(work: Work, claims: tokens.Claims, *, by_cookie: bool = False) -> Caller:
    who = (claims.account_public_id, claims.sign_in_id)
    account = ledger().callers.find(
        ("sign-in", *who),
        work.now,
        lambda: work.accounts.find_signed_in(*who, work.now),
        work.caller_answers,
    )
    if account is None:
        raise Unauthorized("This sign-in has ended.")
    return Caller(
        account, None, claims.sign_in_id, by_cookie=by_cookie, expires_at=claims.expires_at
    )


def _caller_by_key(work: Work, key: str) -> Caller:
    keys.check_mode(key)
    digest = keys.key_hash(key)
    account_and_key = _find_key(work, digest)
    if account_and_key is None:
        raise Unauthorized("This API key is unknown or revoked.")
    account, row = account_and_key
    keys.check_mode(key, account)
    note_use = partial(keys.key_uses().note, row.id, work.now)
    if work.assumptions is None:
        note_use()
    else:
        work.assumptions.follow(note_use, partial(g.pop, "caller", None))
    scopes = frozenset(row.scopes.split())
    return Caller(
        account,
        scopes,
        None,
        key_id=row.id,
        key_public_id=row.public_id,
        key_name=f"{row.label} ({row.prefix}…)",
    )


def _find_key(work: Work, digest: str) -> tuple[Account, ApiKey] | None:
    callers, assumptions = ledger().callers, work.assumptions
    if assumptions is None or callers.hears() or not assumptions.are_possible():
        return callers.find(
            ("key", digest),
            work.now,
            lambda: work.accounts.find_by_key_sha256(digest),
            work.caller_answers,
        )
    return callers.assume(
        ("key", digest),
        work.now,
        lambda: work.accounts.find_by_key_with_guard(digest),
        work.caller_answers,
        assumptions,
    )


def _in_role(account: Account, role: str) -> Account:
    if account.role != role:
        raise Forbidden(f"This is for a {role}; the account is a {account.role}.")
    return account
