"""`/forgot` and `/reset/<token>`: the pages for a forgotten password."""

from __future__ import annotations

from flask import Blueprint, g, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from accounts import csrf, passwords, reset
from core.errors import BalcaoError, Gone, TooManyRequests
from core.typed import caseless, plain_text
from mail.outgoing import can_send
from web.forms import read_form
from web.pages import language_query
from web.problems import prefers_page, status_of

bp = Blueprint("reset", __name__)

TYPED_CHARACTERS_MAX = 254


@bp.get("/forgot")
def forgot_page() -> BaseResponse:
    """Ask for the login or the e-mail; without SMTP_URL, say what to do instead."""
    return _forgot_page()


@bp.post("/forgot")
def forgot() -> BaseResponse:
    """Send the link; the answer is the same whether there is such an account or not."""
    csrf.require_visitor_token()
    typed_name = plain_text(read_form().get("username", ""))[:TYPED_CHARACTERS_MAX]
    if not can_send() or not typed_name:
        return _forgot_page()
    try:
        reset.request_link(typed_name)
    except TooManyRequests as error:
        return _render("accounts/forgot.html", error, can_send=True, is_sent=False)
    return _render("accounts/forgot.html", can_send=True, is_sent=True)


@bp.get("/reset/<token>")
def reset_page(token: str) -> BaseResponse:
    """The form for the new password, or why the link is void."""
    try:
        account = reset.check_token(token)
    except Gone as error:
        return _void_link(error)
    return _render("accounts/reset.html", login=account.login, wrong=False)


@bp.post("/reset/<token>")
def set_password(token: str) -> BaseResponse:
    """Set the new password, then lead to the sign-in page."""
    csrf.require_visitor_token()
    password = read_form().get("password", "")
    try:
        account = reset.check_token(token)
        is_usable = passwords.CHARACTERS_MIN <= len(password) <= passwords.CHARACTERS_MAX
        if not is_usable or caseless(password) == caseless(account.login):
            answer = _render("accounts/reset.html", login=account.login, wrong=True)
            answer.status_code = 400
            return answer
        reset.set_new_password(token, password)
    except Gone as error:
        return _void_link(error)
    query = f"{language_query()}&" if language_query() else "?"
    return redirect(f"{request.script_root}/login{query}done=password", 303)


def _void_link(error: Gone) -> BaseResponse:
    """Why the link is void; raises the error for a client that is no browser."""
    if not prefers_page():
        raise error
    return _render("accounts/reset.html", error, login=None, wrong=False)


def _forgot_page() -> BaseResponse:
    return _render("accounts/forgot.html", can_send=can_send(), is_sent=False)


def _render(template: str, error: BalcaoError | None = None, **values: object) -> BaseResponse:
    wait = error.retry_after_seconds if isinstance(error, TooManyRequests) else 0
    answer = make_response(
        render_template(
            template, minutes_to_wait=-(-wait // 60), form_token=csrf.visitor_token(), **values
        )
    )
    if error is not None:
        answer.status_code = status_of(type(error))
        g.problem_code = error.code
    if wait:
        answer.headers["Retry-After"] = str(wait)
    return answer
