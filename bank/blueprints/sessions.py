"""The payer's session, in a signed cookie, and the redirects to the login and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import ParamSpec
from urllib.parse import urlencode

from flask import redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from bank.errors import UnknownPayer
from bank.models import BankPayer
from bank.money import payers

IDLE_MAX = timedelta(minutes=30)
"""A session ends after this time without a request."""

_PAYER = "payer"
_NEXT_CHARACTERS_MAX = 4096
# Browsers read a backslash as a slash and drop tabs and line breaks, so that `/\evil.example`
# would lead to another host.
_LOCAL_PATH = re.compile(r"/(?:[^/\\\x00-\x20\x7f][^\\\x00-\x20\x7f]*)?")

Arguments = ParamSpec("Arguments")


class NotLoggedIn(Exception):
    """The page needs a payer, and no payer is logged in."""


def start(payer: BankPayer) -> None:
    """Start a session of this payer and drop the data of an earlier one."""
    session.clear()
    session.permanent = True
    session[_PAYER] = payer.handle


def end() -> None:
    """End the session."""
    session.clear()


def is_logged_in() -> bool:
    """Whether the cookie names a payer."""
    return isinstance(session.get(_PAYER), str)


def current_payer(work: Session) -> BankPayer:
    """The payer who is logged in. Raises NotLoggedIn, also if the payer no longer exists."""
    if not is_logged_in():
        raise NotLoggedIn
    try:
        return payers.payer_by_handle(work, session[_PAYER])
    except UnknownPayer:
        raise NotLoggedIn from None


def local_path(text: str) -> str:
    """The text if it is a path of this application, with its query; else `/`."""
    is_local = len(text) <= _NEXT_CHARACTERS_MAX and _LOCAL_PATH.fullmatch(text) is not None
    return text if is_local else "/"


def login_required(
    view: Callable[Arguments, ResponseReturnValue],
) -> Callable[Arguments, ResponseReturnValue]:
    """Decorate a view: without a session it redirects to the login, which leads back."""

    @wraps(view)
    def view_with_login(*args: Arguments.args, **kwargs: Arguments.kwargs) -> ResponseReturnValue:
        if not is_logged_in():
            return redirect_to_login()
        try:
            return view(*args, **kwargs)
        except NotLoggedIn:
            end()
            return redirect_to_login()

    return view_with_login


def _query_without_language() -> str:
    """The cookie has kept the language of `?lang=`; the payer may change it at the login."""
    if "lang" not in request.args:
        return request.query_string.decode()
    pairs = [(name, text) for name, text in request.args.items(multi=True) if name != "lang"]
    return urlencode(pairs)


def redirect_to_login() -> ResponseReturnValue:
    """Redirect to the login, which returns here; only the code to pay of a form is kept."""
    next_path = f"{request.path}?{_query_without_language()}".rstrip("?")
    if request.method != "GET":
        code = request.form.get("code", "") if request.endpoint == "pages.pay" else ""
        next_path = url_for("pages.review", code=code) if code else url_for("pages.home")
        next_path = next_path.removeprefix(request.script_root)
    if next_path in ("", "/"):
        return redirect(url_for("login.show"), 303)
    return redirect(url_for("login.show", next=local_path(next_path)), 303)
