"""Test mode: in production, a merchant's browser acts for the merchant or for its test half.

A cookie says which, for one sign-in. Two tabs may show different modes, so each page carries its
own: in its CSRF token, and in a header of its scripts (docs/decisions/0081-test-mode-cookie.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask import Response, current_app, g, request

from config import current_settings
from core.errors import Conflict

COOKIE = "test_mode"
TOKEN_PREFIX = "test."  # noqa: S105 - says the mode, and is no secret
"""The CSRF token of a page in test mode begins with it."""

PAGE_HEADER = "X-Page-Mode"
"""In which mode the page of a script was drawn: LIVE or TEST."""

LIVE, TEST = "live", "test"

View = TypeVar("View", bound=Callable[..., object])


def is_asked_for(sign_in_id: str) -> bool:
    """Whether the browser asks for test mode, in this sign-in and not in an earlier one."""
    return current_settings().is_live and request.cookies.get(COOKIE) == sign_in_id


def set_cookie(response: Response, sign_in_id: str) -> None:
    """Ask for test mode from now on, for as long as this sign-in lasts."""
    settings = current_settings()
    response.set_cookie(
        COOKIE,
        sign_in_id,
        max_age=settings.refresh_token_seconds,
        path="/",
        secure=settings.public_url.startswith("https://"),
        httponly=True,
        samesite="Lax",
    )


def unset_cookie(response: Response) -> None:
    """End test mode in this browser."""
    if COOKIE in request.cookies:
        response.delete_cookie(
            COOKIE,
            path="/",
            secure=current_settings().public_url.startswith("https://"),
            httponly=True,
            samesite="Lax",
        )


def token_for_page(token: str) -> str:
    """This CSRF token for the page that is being drawn, in the page's mode.

    A form that is shown once more keeps the mode in which it was drawn first.
    """
    caller = g.get("caller")
    is_test = caller.is_test_mode if caller is not None else is_from_test_page()
    return f"{TOKEN_PREFIX}{token}" if is_test else token


def is_from_test_page() -> bool:
    """Whether a page in test mode sends this request."""
    return (_sent_token() or "").startswith(TOKEN_PREFIX)


def plain_token() -> str | None:
    """The request's CSRF token without its mode; None without a token."""
    token = _sent_token()
    return None if token is None else token.removeprefix(TOKEN_PREFIX)


def _sent_token() -> str | None:
    return request.headers.get("X-CSRF-TOKEN") or request.form.get("csrf_token")


def in_either_mode(view: View) -> View:
    """Let pages of both modes send a request to this view, because it acts the same in both."""
    view.in_either_mode = True  # type: ignore[attr-defined]
    return view


def is_view_in_either_mode() -> bool:
    """Whether this request is for a view that is marked with `in_either_mode`."""
    view = current_app.view_functions.get(request.endpoint or "")
    return getattr(view, "in_either_mode", False)


def require_page_mode(is_test_mode: bool) -> None:
    """Refuse a script whose page was drawn in the other mode. Raises Conflict."""
    page_mode = request.headers.get(PAGE_HEADER)
    if page_mode is not None and (page_mode == TEST) is not is_test_mode:
        raise Conflict("Another tab changed the mode: load the page again.")
