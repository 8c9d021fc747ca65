"""Who is logged in: the payer named in the signed session cookie, and where a login leads back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import ParamSpec

from flask import redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from bank.errors import UnknownPayer
from bank.models import BankPayer
from bank.money import payers

IDLE_MAX = timedelta(minutes=30)
"""After this long without a request the payer has to log in again."""

_PAYER = "payer"
_NEXT_CHARACTERS_MAX = 4096
# Browsers take a backslash for a slash and drop tabs and line breaks: both could name a host.
_OWN_PATH = re.compile(r"/(?:[^/\\\x00-\x20\x7f][^\\\x00-\x20\x7f]*)?")

Arguments = ParamSpec("Arguments")


class NotLoggedIn(Exception):
    """The page belongs to a payer and nobody is logged in."""


def enter(payer: BankPayer) -> None:
    """Begin a session of this payer's; whatever an earlier one held is dropped."""
    session.clear()
    session.permanent = True
    session[_PAYER] = payer.handle


def leave() -> None:
    """End the session."""
    session.clear()


def is_logged_in() -> bool:
    """Whether the cookie names a payer."""
    return isinstance(session.get(_PAYER), str)


def current_payer(work: Session) -> BankPayer:
    """The logged-in payer. Raises NotLoggedIn, also for one whose account is gone."""
    if not is_logged_in():
        raise NotLoggedIn
    try:
        return payers.payer_by_handle(work, session[_PAYER])
    except UnknownPayer:
        raise NotLoggedIn from None


def local_path(text: str) -> str:
    """The text if it is a path of this application (with its query), else the home's."""
    is_own = len(text) <= _NEXT_CHARACTERS_MAX and _OWN_PATH.fullmatch(text) is not None
    return text if is_own else "/"


def login_required(
    view: Callable[Arguments, ResponseReturnValue],
) -> Callable[Arguments, ResponseReturnValue]:
    """A page that strangers are led away from, to the login and then back."""

    @wraps(view)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> ResponseReturnValue:
        if not is_logged_in():
            return redirect_to_login()
        try:
            return view(*args, **kwargs)
        except NotLoggedIn:
            leave()
            return redirect_to_login()

    return guarded


def redirect_to_login() -> ResponseReturnValue:
    """The way to the login; what a form carried is asked for again, save the code to pay."""
    back = request.full_path.rstrip("?")
    if request.method != "GET":
        code = request.form.get("code", "") if request.endpoint == "pages.pay" else ""
        back = url_for("pages.review", code=code) if code else url_for("pages.home")
        back = back.removeprefix(request.script_root)
    if back in ("", "/"):
        return redirect(url_for("login.show"), 303)
    return redirect(url_for("login.show", next=local_path(back)), 303)
