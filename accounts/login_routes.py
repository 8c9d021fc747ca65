"""`/login` and `/signup`: the pages, and what their forms and programs send."""

from __future__ import annotations

from typing import Any, Literal

from flask import (
    Response,
    g,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
)
from flask_openapi import APIBlueprint, Tag
from werkzeug.wrappers import Response as BaseResponse

from accounts import csrf, service, sign_ins, throttle, tokens
from accounts.access import current_caller
from accounts.local_paths import NEXT_CHARACTERS_MAX, after_sign_in
from accounts.people_routes import require_open_sign_up, sign_ups_limit
from accounts.presenter import token_object, user_object
from accounts.schemas import Message, NewUser, SignInAnswer, SignInBody
from config import current_settings
from core.errors import (
    BalcaoError,
    FieldError,
    InvalidRequest,
    LoginTaken,
    TooManyRequests,
    Unauthorized,
)
from db_models import Account
from repository.database import Work, in_unit_of_work, reading
from web.api_docs import SIGNED_IN, declare, problems, takes
from web.bodies import check_storable
from web.forms import FORM, is_form, parsed, read_form
from web.limits import limiter
from web.pages import spoken as _
from web.problems import prefers_page, status_of

bp = APIBlueprint("login", __name__, abp_tags=[Tag(name="People")])
declare(bp, SignInBody)

_OF_THE_FORM = (csrf.FIELD, "next", "lang")


@bp.get("/login", doc_ui=False)
def login_page() -> BaseResponse:
    """The sign-in page."""
    return _login_page(request.args.get("next", "")[:NEXT_CHARACTERS_MAX], "")


@bp.post(
    "/api/login",
    summary="Sign in",
    responses={
        200: SignInAnswer,
        303: {"description": "To a browser's form: go to `next`, or to the account's own page."},
        **problems(400, 401, 403, 413, 415, 429, 503),
    },
    openapi_extensions=takes(SignInBody, "application/json", FORM),
)
def login() -> BaseResponse:
    """Sign in by `username` or `login`, as JSON or as a form; sets the session's cookies."""
    if not is_form():
        return _answer(_sign_in(request.get_json()))
    csrf.require_stranger_token()
    fields = read_form()
    wished = fields.get("next", "")
    given = {name: value for name, value in fields.items() if name not in _OF_THE_FORM}
    if not prefers_page():
        return _answer(_sign_in(given))
    try:
        opened = _sign_in(given)
    except (Unauthorized, TooManyRequests, InvalidRequest) as error:
        return _login_page(wished, given.get("login") or given.get("username", ""), error)
    return _with_cookies(redirect(_home(wished, opened.account), 303), opened)


@bp.post(
    "/api/logout",
    summary="Sign out",
    responses={
        200: Message,
        303: {"description": "To a browser's form: go to the sign-in page."},
        **problems(401, 403, 413, 503),
    },
    security=SIGNED_IN,
)
def logout() -> BaseResponse:
    """End this session, in every process at once, and forget its cookies."""

    def leave(work: Work) -> None:
        caller = current_caller(work)
        if caller.sign_in_id is None:
            raise InvalidRequest(detail="An API key has no session; revoke it instead.")
        sign_ins.end(work, caller.account, caller.sign_in_id, sign_ins.SIGNED_OUT)

    try:
        in_unit_of_work(leave)
    except Unauthorized:
        if not prefers_page():
            raise
    if prefers_page():
        answer = make_response(redirect(f"{request.script_root}/login", 303))
    else:
        answer = jsonify(message="Signed out.")
    answer.headers["Cache-Control"] = "no-store"
    tokens.unset_cookies(answer)
    g.cookies_are_set = True
    return answer


@bp.get("/signup", doc_ui=False)
def sign_up_page() -> BaseResponse:
    """The sign-up page."""
    require_open_sign_up()
    return _sign_up_page(request.args.get("next", "")[:NEXT_CHARACTERS_MAX], {})


@bp.post("/signup", doc_ui=False)
@limiter.limit(sign_ups_limit)
def sign_up() -> BaseResponse:
    """Make an account from the page's form, and sign it in."""
    require_open_sign_up()
    csrf.require_stranger_token()
    fields = read_form()
    wished = fields.get("next", "")
    given = {name: value for name, value in fields.items() if name not in _OF_THE_FORM and value}
    try:
        body = parsed(NewUser, given)
        account = service.sign_up(body)
    except (InvalidRequest, LoginTaken) as error:
        return _sign_up_page(wished, given, error)
    opened = in_unit_of_work(lambda work: sign_ins.open_for(work, account, "cookie"))
    return _with_cookies(redirect(_home(wished, account), 303), opened)


def _sign_in(given: Any) -> sign_ins.OpenSignIn:
    body = parsed(SignInBody, given)
    name = body.username or body.login
    if name is None:
        raise InvalidRequest([FieldError("username", "is required")])
    if body.username and body.login and body.username != body.login:
        raise InvalidRequest([FieldError("login", "must be the username, or be left out")])
    check_storable(name)
    return sign_ins.sign_in(name, body.password, "cookie")


def _answer(opened: sign_ins.OpenSignIn) -> Response:
    body = {
        **token_object(opened.tokens),
        "csrf_token": opened.tokens.csrf_token,
        "user": user_object(opened.account),
    }
    return _with_cookies(jsonify(body), opened)


def _with_cookies(answer: Any, opened: sign_ins.OpenSignIn) -> Response:
    response = make_response(answer)
    response.headers["Cache-Control"] = "no-store"
    tokens.set_cookies(response, opened.tokens, opened.left)
    throttle.remember_device(response, opened.account.login)
    g.cookies_are_set = True
    return response


def _home(wished: str, account: Account) -> str:
    return f"{request.script_root}{after_sign_in(wished, account.role)}"


def _login_page(wished: str, login: str, error: BalcaoError | None = None) -> BaseResponse:
    here = _account_here()
    page = render_template(
        "accounts/login.html",
        next=wished,
        login=login[:64],
        said=None if error is None else _said(error),
        account=here,
        home="/" if here is None else _home(wished, here),
        sign_up_is_open=current_settings().sign_up == "open",
        demo=_demo(),
        form_token=csrf.stranger_token(),
    )
    return _page(page, error)


def _sign_up_page(
    wished: str, given: dict[str, str], error: BalcaoError | None = None
) -> BaseResponse:
    wrong = {} if error is None else {found.field: found.detail for found in error.errors}
    if isinstance(error, LoginTaken):
        wrong["username"] = "taken"
    page = render_template(
        "accounts/signup.html",
        next=wished,
        given={name: value for name, value in given.items() if name != "password"},
        wrong=wrong,
        form_token=csrf.stranger_token(),
    )
    return _page(page, error)


def _page(page: str, error: BalcaoError | None) -> Response:
    response = make_response(page)
    if error is not None:
        response.status_code = status_of(type(error))
        g.problem_code = error.code
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _said(error: BalcaoError) -> str:
    if isinstance(error, TooManyRequests):
        minutes = -(-error.retry_after_seconds // 60)
        return _("Tentativas demais. Espere %(minutes)s min e tente de novo.") % {
            "minutes": minutes
        }
    if isinstance(error, Unauthorized):
        return _("Usuário ou senha não conferem.")
    return _("Escreva o usuário e a senha.")


def _account_here() -> Account | None:
    """Who is signed in already, if anybody is."""
    if tokens.ACCESS_COOKIE not in request.cookies and "renewed" not in g:
        return None
    if request.method != "GET":
        return None
    try:
        with reading() as work:
            return current_caller(work).account
    except Unauthorized:
        return None


def _demo() -> tuple[str, Literal["instance/demo_password"]] | None:
    """Where the demo merchant's password is, in development."""
    return ("demo", "instance/demo_password") if current_settings().is_development else None
