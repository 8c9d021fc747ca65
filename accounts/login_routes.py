"""`/login` and `/signup`: the pages, and the routes that their forms and programs call."""

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
from flask_openapi import Tag
from werkzeug.wrappers import Response as BaseResponse

from accounts import csrf, kept_forms, modes, service, sign_ins, throttle, tokens
from accounts.access import current_caller
from accounts.local_paths import NEXT_CHARACTERS_MAX, after_sign_in
from accounts.people_routes import require_open_sign_up, sign_ups_limit
from accounts.presenter import token_object, user_object
from accounts.schemas import Message, NewUser, SignInAnswer, SignInBody
from config import current_settings
from core.errors import (
    BalcaoError,
    Busy,
    CsrfFailed,
    FieldError,
    Forbidden,
    InvalidRequest,
    LoginTaken,
    TooManyRequests,
    Unauthorized,
)
from core.merchant_errors import ShopNameTaken
from core.typed import caseless
from db_models import Account
from db_models.account import PAYER
from repository.database import Work, in_unit_of_work, reading
from web.api_docs import SIGNED_IN, DocumentedBlueprint, declare, problems, request_body
from web.bodies import check_storable
from web.forms import FORM, is_form, parse, read_form
from web.limits import limiter
from web.pages import language_query
from web.pages import translate as _
from web.problems import RETRY_AFTER_SECONDS, prefers_page, status_of

bp = DocumentedBlueprint("login", __name__, abp_tags=[Tag(name="People")])
declare(bp, SignInBody)

_EXTRA_FIELDS = (csrf.FIELD, "next", "lang")


@bp.get("/login", doc_ui=False)
def login_page() -> BaseResponse:
    """The sign-in page."""
    return _login_page(request.args.get("next", "")[:NEXT_CHARACTERS_MAX], "")


@bp.post(
    "/api/login",
    summary="Sign in",
    responses={
        200: SignInAnswer,
        303: {"description": "For a browser's form: to `next`, or to the account's home page."},
        **problems(400, 401, 403, 413, 415, 429, 503),
    },
    openapi_extensions=request_body(SignInBody, "application/json", FORM),
)
def login() -> BaseResponse:
    """Sign in by `username` or `login`, as JSON or as a form, and set the session's cookies."""
    if not is_form():
        return _answer(_sign_in(request.get_json()))
    fields = read_form()
    next_path = fields.get("next", "")
    credentials = {name: value for name, value in fields.items() if name not in _EXTRA_FIELDS}
    if not prefers_page():
        csrf.require_visitor_token()
        return _answer(_sign_in(credentials))
    try:
        csrf.require_visitor_token()
        sign_in = _sign_in(credentials)
    except (Unauthorized, TooManyRequests, Busy, InvalidRequest, CsrfFailed) as error:
        kept_forms.raise_if_foreign(error)
        login = credentials.get("login") or credentials.get("username", "")
        return _login_page(next_path, login, error)
    return _with_cookies(redirect(_home(next_path, sign_in.account), 303), sign_in)


@bp.post(
    "/api/logout",
    summary="Sign out",
    responses={
        200: Message,
        303: {"description": "For a browser's form: to the sign-in page."},
        **problems(401, 403, 413, 503),
    },
    security=SIGNED_IN,
)
@modes.in_either_mode
def logout() -> BaseResponse:
    """End this session at once, in every process, and delete its cookies."""

    def end(work: Work) -> None:
        caller = current_caller(work)
        if caller.sign_in_id is None:
            raise Forbidden("An API key has no session: revoke the key instead.")
        sign_ins.end(work, caller.owner, caller.sign_in_id, sign_ins.SIGNED_OUT)

    try:
        in_unit_of_work(end)
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
    """Create an account from the page's form, and sign in."""
    require_open_sign_up()
    fields = read_form()
    next_path = fields.get("next", "")
    values = {name: value for name, value in fields.items() if name not in _EXTRA_FIELDS and value}
    try:
        csrf.require_visitor_token()
        body = parse(NewUser, values)
        account = service.sign_up(body)
    except (InvalidRequest, LoginTaken, ShopNameTaken, CsrfFailed) as error:
        kept_forms.raise_if_foreign(error)
        return _sign_up_page(next_path, values, error)
    sign_in = in_unit_of_work(lambda work: sign_ins.open_for(work, account, "cookie"))
    return _with_cookies(redirect(_home(next_path, account), 303), sign_in)


def _sign_in(credentials: Any) -> sign_ins.OpenSignIn:
    body = parse(SignInBody, credentials)
    name = body.username or body.login
    if name is None:
        raise InvalidRequest([FieldError("username", "is required")])
    if body.username and body.login and caseless(body.username) != caseless(body.login):
        raise InvalidRequest([FieldError("login", "must equal the username, or be left out")])
    check_storable(name)
    return sign_ins.sign_in(name, body.password, "cookie")


def _answer(sign_in: sign_ins.OpenSignIn) -> Response:
    body = {
        **token_object(sign_in.tokens),
        "csrf_token": sign_in.tokens.csrf_token,
        "user": user_object(sign_in.account),
    }
    return _with_cookies(jsonify(body), sign_in)


def _with_cookies(answer: Any, sign_in: sign_ins.OpenSignIn) -> Response:
    response = make_response(answer)
    response.headers["Cache-Control"] = "no-store"
    tokens.set_cookies(response, sign_in.tokens, sign_in.lifetime)
    modes.unset_cookie(response)
    throttle.remember_device(response, sign_in.account.login)
    g.cookies_are_set = True
    return response


def _home(next_path: str, account: Account) -> str:
    if _lacks_pages(account):
        return f"{request.script_root}/login{language_query()}"  # the page says why
    return f"{request.script_root}{after_sign_in(next_path, account.role)}"


def _lacks_pages(account: Account) -> bool:
    """Whether this is a payer's account in production, where no wallets and no /pay pages exist."""
    return account.role == PAYER and not current_settings().is_development


def _login_page(next_path: str, login: str, error: BalcaoError | None = None) -> BaseResponse:
    account = _signed_in_account()
    page = render_template(
        "accounts/login.html",
        next=next_path,
        login=login[:64],
        refusal=None if error is None else _refusal(error),
        account=account,
        home="/" if account is None else _home(next_path, account),
        lacks_pages=account is not None and _lacks_pages(account),
        sign_up_is_open=current_settings().sign_up == "open",
        demo=_demo(),
        is_password_changed=request.args.get("done") == "password",
        form_token=csrf.visitor_token(),
    )
    return _page(page, error)


def _sign_up_page(
    next_path: str, values: dict[str, str], error: BalcaoError | None = None
) -> BaseResponse:
    wrong = {} if error is None else {field.field: field.detail for field in error.errors}
    if isinstance(error, LoginTaken):
        wrong["username"] = "taken"
    if isinstance(error, ShopNameTaken):
        wrong["name"] = "taken"
    page = render_template(
        "accounts/signup.html",
        next=next_path,
        values={name: value for name, value in values.items() if name != "password"},
        wrong=wrong,
        has_payers=current_settings().is_development,
        refusal=_refusal(error) if isinstance(error, CsrfFailed) else None,
        form_token=csrf.visitor_token(),
    )
    return _page(page, error)


def _page(page: str, error: BalcaoError | None) -> Response:
    response = make_response(page)
    if error is not None:
        response.status_code = status_of(type(error))
        g.problem_code = error.code
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    elif isinstance(error, Busy):
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _refusal(error: BalcaoError) -> str:
    if isinstance(error, CsrfFailed):
        return ". ".join(kept_forms.explain(kept_forms.reason_of(error)))
    if isinstance(error, TooManyRequests):
        minutes = -(-error.retry_after_seconds // 60)
        return _("Tentativas demais. Espere %(minutes)s min e tente de novo.") % {
            "minutes": minutes
        }
    if isinstance(error, Busy):
        return _("Muita gente está entrando agora. Tente de novo em alguns segundos.")
    if isinstance(error, Unauthorized):
        return _("Usuário ou senha não conferem.")
    return _("Escreva o usuário e a senha.")


def _signed_in_account() -> Account | None:
    """The account that this browser is signed in to, if any."""
    if tokens.ACCESS_COOKIE not in request.cookies and "renewed" not in g:
        return None
    if request.method != "GET":
        return None
    try:
        with reading() as work:
            return current_caller(work).owner
    except Unauthorized:
        return None


def _demo() -> tuple[str, Literal["instance/demo_password"]] | None:
    """In development, the demo merchant's login and the file with its password."""
    return ("demo", "instance/demo_password") if current_settings().is_development else None
