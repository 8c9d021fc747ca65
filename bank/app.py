"""The bank as a Flask application: blueprints, headers, error handlers, jobs."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable

from flask import Flask, Response, g, jsonify, render_template, request
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError, TimeoutError
from werkzeug.exceptions import HTTPException

from bank import page_text
from bank.blueprints import (
    api,
    collection_pages,
    login_pages,
    mandate_api,
    mandate_pages,
    pages,
    request_pages,
    robot_api,
    scan_pages,
    service_api,
    sessions,
    wallet_api,
)
from bank.blueprints.forms import csrf_token
from bank.branch import EXTENSION, Branch, build
from bank.errors import BankError
from bank.languages import init_languages, set_language_headers
from bank.languages import translate as _
from bank.languages import translate_plural as ngettext
from bank.mandates import mandate_words
from bank.money import payers
from bank.money.demo import DEMO_PIN
from bank.money.notices import refusal_reason
from bank.settings import BankSettings
from bank.workbench import chaos_routes, collection_routes
from core.clock import Clock, SystemClock
from core.errors import TooManyRequests
from core.languages import N_
from core.runtime.scheduler import SteadyScheduler

BODY_BYTES_MAX = 16 * 1024
OUTBOX_INTERVAL_SECONDS = 1
ROBOT_INTERVAL_SECONDS = 0.5
_MISFIRE_GRACE_SECONDS = 30
_RETRY_AFTER_SECONDS = "2"
_JOBS = "balcao-bank-jobs"
_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=()",
}
_TITLES = {
    400: N_("Não entendemos o pedido"),
    401: N_("Diga quem é"),
    404: N_("Esta página não existe"),
    405: N_("Isto não se faz aqui"),
    413: N_("O pedido é grande demais"),
    415: N_("Este formato não é aceito"),
}

log = logging.getLogger(__name__)


class _MountedSession(SecureCookieSessionInterface):
    """A session whose cookie is sent only below the path where the application is mounted."""

    def get_cookie_path(self, app: Flask) -> str:
        """`/bank` when mounted in the service, `/` when the bank runs by itself."""
        return request.script_root or super().get_cookie_path(app)


def create_bank_app(settings: BankSettings, clock: Clock | None = None) -> Flask:
    """Create the application without touching the database or the network; no job starts."""
    app = Flask("bank")
    app.secret_key = settings.secret_key
    app.session_interface = _MountedSession()
    app.config.update(
        MAX_CONTENT_LENGTH=BODY_BYTES_MAX,
        MAX_FORM_MEMORY_SIZE=BODY_BYTES_MAX,
        SESSION_COOKIE_NAME="bank_session",
        PERMANENT_SESSION_LIFETIME=sessions.IDLE_MAX,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.service_url.startswith("https:")
        if settings.has_secure_cookies is None
        else settings.has_secure_cookies,
    )
    init_languages(app, settings.language)
    app.jinja_env.filters.update(
        brl=page_text.brl,
        moment=page_text.moment,
        day=page_text.day,
        calendar_day=page_text.calendar_day,
        number=page_text.number,
        company_number=page_text.company_number,
        masked=payers.masked_document,
        reason=refusal_reason,
        how_often=mandate_words.how_often,
        ending=mandate_words.ending,
        mandate_status=mandate_words.status_word,
        collection_status=mandate_words.collection_status,
        collection_ending=mandate_words.collection_ending,
        account_number=payers.account_number,
    )
    app.jinja_env.globals.update(
        csrf_token=csrf_token,
        is_logged_in=sessions.is_logged_in,
        demo_pin=DEMO_PIN if settings.demo else None,
        has_chaos=settings.demo and settings.has_chaos,
        branch_number=payers.BRANCH,
    )
    app.extensions[EXTENSION] = build(settings, clock or SystemClock())
    for module in (
        login_pages,
        pages,
        mandate_pages,
        request_pages,
        collection_pages,
        scan_pages,
        api,
        service_api,
        mandate_api,
        wallet_api,
    ):
        app.register_blueprint(module.bp)
    if settings.demo:
        app.register_blueprint(robot_api.bp)
        if settings.has_chaos:
            app.register_blueprint(chaos_routes.bp)
            app.register_blueprint(collection_routes.bp)
    app.add_url_rule("/healthz", view_func=_healthz)
    app.before_request(_set_request_id)
    app.after_request(_add_headers)
    app.register_error_handler(BankError, _bank_error)
    app.register_error_handler(TooManyRequests, _too_many_requests)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(DBAPIError, _database_unavailable)
    app.register_error_handler(TimeoutError, _database_unavailable)
    app.register_error_handler(Exception, _unexpected_error)
    return app


def start_jobs(app: Flask) -> None:
    """Pay due charges, send due notices, settle refunds, pay the robot's orders; once per app.

    The robot has a job of its own, because slow notices must not delay its payments.
    """
    if _JOBS in app.extensions:
        return
    branch: Branch = app.extensions[EXTENSION]
    jobs = SteadyScheduler(_log_jump, timezone="UTC")
    _add_job(jobs, OUTBOX_INTERVAL_SECONDS, branch, _send_and_settle)
    if branch.settings.demo:
        _add_job(jobs, ROBOT_INTERVAL_SECONDS, branch, _pay_robot_orders)
    jobs.start()
    app.extensions[_JOBS] = jobs


def stop_jobs(app: Flask) -> None:
    """Claim no more notices. A notice that is being sent is settled, or sent again later."""
    jobs: SteadyScheduler | None = app.extensions.pop(_JOBS, None)
    if jobs is not None:
        jobs.shutdown(wait=False)


def close_bank_app(app: Flask) -> None:
    """Stop the jobs and close every connection."""
    stop_jobs(app)
    branch: Branch = app.extensions[EXTENSION]
    branch.http_client.close()
    branch.database.close()


def _log_jump(seconds: float) -> None:
    log.warning("the wall clock jumped by %.1f s", seconds)


def _add_job(
    jobs: SteadyScheduler, seconds: float, branch: Branch, work: Callable[[Branch], object]
) -> None:
    jobs.add_job(
        _run_due_work,
        "interval",
        args=[branch, work],
        seconds=seconds,
        coalesce=True,
        max_instances=1,
        misfire_grace_time=_MISFIRE_GRACE_SECONDS,
    )


def _send_and_settle(branch: Branch) -> None:
    branch.collections.pay_due()
    branch.outbox.send_due()
    branch.mandate_outbox.send_due()
    branch.collection_outbox.send_due()
    branch.refunds.settle_due()


def _pay_robot_orders(branch: Branch) -> None:
    branch.robot.pay_due()


def _run_due_work(branch: Branch, work: Callable[[Branch], object]) -> None:
    try:
        work(branch)
    except (DBAPIError, TimeoutError) as error:
        # The job runs again soon; a stack trace each second would only fill the log.
        log.warning("bank jobs: the database does not answer (%s)", type(error).__name__)


def _healthz() -> ResponseReturnValue:
    return jsonify(status="ok")


def _set_request_id() -> None:
    header = request.headers.get("X-Request-ID", "")
    g.request_id = header if _REQUEST_ID.fullmatch(header) else secrets.token_hex(16)


def _add_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    set_language_headers(response)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Request-ID"] = g.get("request_id") or secrets.token_hex(16)
    return response


def _bank_error(error: BankError) -> ResponseReturnValue:
    detail = error.detail
    if error.errors and detail.startswith(f"{error.errors[0].field} ") and not _is_for_programs():
        # The faults of fields are English fragments, for who wrote the address by hand.
        detail = f"{_('Confira o endereço e o que foi enviado.')} ({detail})"
    response = _problem(error.status, error.code, _(error.title), detail, error)
    if error.status == 503:
        response.headers["Retry-After"] = _RETRY_AFTER_SECONDS
    return response


def _too_many_requests(error: TooManyRequests) -> ResponseReturnValue:
    seconds = error.retry_after_seconds
    detail = ngettext(
        "Aguarde %(num)s segundo e tente de novo. Nada foi feito.",
        "Aguarde %(num)s segundos e tente de novo. Nada foi feito.",
        seconds,
    ) % {"num": seconds}
    response = _problem(429, error.code, _("São muitos pedidos ao mesmo tempo"), detail)
    response.headers["Retry-After"] = str(seconds)
    return response


def _http_error(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None or error.code is None or error.code < 400:
        return error.get_response()
    title = _(_TITLES[error.code]) if error.code in _TITLES else _("Algo não deu certo")
    code = error.name.lower().replace(" ", "-")
    detail = _("Confira o endereço e o que foi enviado.")
    response = _problem(error.code, code, title, detail)
    for name, value in error.get_headers(request.environ):
        if name in ("Allow", "Retry-After", "WWW-Authenticate"):
            response.headers[name] = value
    return response


def _database_unavailable(error: Exception) -> ResponseReturnValue:
    log.error("the database does not answer: %s", type(error).__name__)
    response = _problem(
        503,
        "service-unavailable",
        _("O banco está fora do ar por um instante"),
        _("Tente de novo em alguns segundos."),
    )
    response.headers["Retry-After"] = _RETRY_AFTER_SECONDS
    return response


def _unexpected_error(error: Exception) -> ResponseReturnValue:
    log.error("unexpected error", exc_info=error)
    return _problem(
        500,
        "internal-error",
        _("Algo deu errado do nosso lado"),
        _("Tente de novo em instantes."),
    )


def _is_for_programs() -> bool:
    return request.path.startswith("/api/")


def _problem(
    status: int, code: str, title: str, detail: str, error: BankError | None = None
) -> Response:
    """Render an error as problem+json below /api/ and as a page elsewhere."""
    if _is_for_programs():
        problem = {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": detail,
            "message": detail,
            "code": code,
            "errors": [vars(field_error) for field_error in error.errors] if error else [],
            "request_id": g.get("request_id"),
        }
        response = jsonify(problem)
        response.mimetype = "application/problem+json"
    else:
        page = render_template("bank/error.html", title=title, detail=detail, status=status)
        response = Response(page, mimetype="text/html")
    response.status_code = status
    return response
