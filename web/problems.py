"""Error answers: the status of each error type, as problem+json or as a page for browsers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from flask import Flask, Response, current_app, g, render_template, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from config import current_settings
from core import errors, merchant_errors, payer_errors, provider_errors
from core.errors import BalcaoError, FieldError, InvalidRequest

log = structlog.get_logger()

# The first match wins, so subclasses come before their base classes.
STATUS_OF: tuple[tuple[type[BalcaoError], int], ...] = (
    (errors.AmountMismatch, 400),
    (errors.UnsupportedPicture, 415),
    (errors.PictureTooLarge, 413),
    (errors.UnreadablePicture, 422),
    (errors.NoCodeInPicture, 422),
    (errors.InvalidRequest, 400),
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.TooManyRequests, 429),
    (errors.BadSignature, 401),
    (errors.Gone, 410),
    (errors.NotFound, 404),
    (errors.Refused, 409),
    (errors.Conflict, 409),
    (payer_errors.InsufficientFunds, 402),
    (payer_errors.PayerRefused, 403),
    (payer_errors.BankUnavailable, 503),
    (provider_errors.ProviderUnavailable, 503),
    # Too Early: the bank repeats the acceptance, and the payment may arrive meanwhile.
    (merchant_errors.ActivationUnpaid, 425),
    (errors.UpgradeRequired, 426),
    # Not 4xx, so that the bank retries its notification.
    (errors.ConcurrentUpdate, 503),
    (errors.Busy, 503),
    (errors.DatabaseUnavailable, 503),
    (BalcaoError, 500),
)

CODE_OF_STATUS = {
    400: "invalid-request",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    412: "precondition-failed",
    408: "request-timeout",
    413: "payload-too-large",
    414: "uri-too-long",
    415: "unsupported-media-type",
    416: "range-not-satisfiable",
    429: "too-many-requests",
    431: "headers-too-large",
}

RETRY_AFTER_SECONDS = 2
NOT_FOUND = errors.PaymentNotFound.code
RECOVER_PATH = "/payment/recover-from-qr"
"""The page that finds a payment by its QR code."""


ErrorForm = Callable[[int, str, tuple[FieldError, ...]], Response]
"""Writes an error's status, detail and fields in the form of another interface."""
_FORMS = "error_forms"


def init_problems(app: Flask) -> None:
    """Register the error handlers."""
    app.extensions[_FORMS] = {}
    app.register_error_handler(BalcaoError, answer_error)
    app.register_error_handler(HTTPException, _on_http_error)
    app.register_error_handler(Exception, _on_unknown_error)


def use_form(app: Flask, prefix: str, form: ErrorForm, but: str | None = None) -> None:
    """Answer all errors of the paths below `prefix` in this form, also when no route is there.

    The path `but` keeps the service's own form.
    """
    app.extensions[_FORMS][prefix] = (form, but)


def _own_form() -> ErrorForm | None:
    forms: dict[str, tuple[ErrorForm, str | None]] = current_app.extensions[_FORMS]
    path = request.path
    for prefix, (form, but) in forms.items():
        if path.startswith(f"{prefix}/") and path != but:
            return form
    return None


def refuse_invalid(error: ValidationError) -> Response:
    """Raise InvalidRequest with every field that failed the validation."""
    field_errors = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"]) or "body"
        field_errors.append(FieldError(name, _fragment(problem["type"], problem["msg"])))
    raise InvalidRequest(field_errors)


def _fragment(kind: str, message: str) -> str:
    fragments = {"missing": "is required", "extra_forbidden": "is not a known field"}
    if kind in fragments:
        return fragments[kind]
    text = message.removeprefix("Value error, ").removeprefix("Input ")
    return text[0].lower() + text[1:]


def status_of(error: type[BalcaoError]) -> int:
    """The HTTP status of an error type."""
    return next(status for kind, status in STATUS_OF if issubclass(error, kind))


def prefers_page() -> bool:
    """Whether `Accept` names text/html; `*/*`, as curl and SDKs send, does not count."""
    accept = request.accept_mimetypes
    return "text/html" in accept.values() and accept["text/html"] >= accept["application/json"]


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    field_errors: tuple[FieldError, ...] = (),
    members: Mapping[str, str] | None = None,
) -> Response:
    """An error answer, as problem+json or as a page.

    Leaves the names of the refused fields in `g.problem_fields`, for `accounts.refusals`.
    """
    g.problem_fields = tuple(error.field for error in field_errors)
    form = _own_form()
    if form is not None:
        response = form(status, detail, field_errors)
    elif prefers_page():
        page = render_template(
            "errors/error.html",
            status=status,
            code=code,
            title=title,
            detail=detail,
            request_id=g.get("request_id", ""),
            home_url="/",
            recover_url=f"{request.script_root}{RECOVER_PATH}" if code == NOT_FOUND else None,
        )
        response = Response(page, status, mimetype="text/html")
    else:
        body: dict[str, Any] = {
            "type": f"{current_settings().public_url}/docs/errors#{code}",
            "title": title,
            "status": status,
            "detail": detail,
            "message": detail,
            "code": code,
            "errors": [{"field": error.field, "detail": error.detail} for error in field_errors],
            "request_id": g.get("request_id", ""),
            **(members or {}),
        }
        response = Response(
            current_app.json.dumps(body), status, content_type="application/problem+json"
        )
    response.headers["Cache-Control"] = "no-store"
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def answer_error(error: BalcaoError) -> Response:
    """The answer to one of our errors."""
    status = status_of(type(error))
    g.problem_code = error.code
    if status >= 500:
        log.warning("request.unavailable", code=error.code, cause=repr(error.__cause__))
    response = problem(status, error.code, error.title, error.detail, error.errors, error.members)
    if isinstance(error, (errors.TooManyRequests, provider_errors.ProviderUnavailable)):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _on_http_error(error: HTTPException) -> Any:
    if error.response is not None:
        return error.response
    status = error.code or 500
    if status < 400:  # a redirect, raised by the router
        return error.get_response()
    code = CODE_OF_STATUS.get(status, "invalid-request" if status < 500 else "internal-error")
    g.problem_code = code
    detail = error.description or error.name
    if isinstance(error, RequestEntityTooLarge):
        detail = "The body is too large."
    response = problem(status, code, error.name, " ".join(detail.split()))
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "location"):
            response.headers[name] = value
    return response


def explain_precondition(response: Response) -> Response:
    """Fill the body of a 412, which Werkzeug leaves empty; an `after_request` hook."""
    if response.status_code == 412:
        code = CODE_OF_STATUS[412]
        answer = problem(412, code, "Precondition Failed", "If-Match does not match any more.")
        response.direct_passthrough = False
        response.set_data(answer.get_data())
        response.content_type = answer.content_type
    return response


def _on_unknown_error(error: Exception) -> Response:
    g.problem_code = "internal-error"
    log.exception("request.failed", error=type(error).__name__)
    return problem(
        500,
        "internal-error",
        "Something went wrong on our side",
        "Something went wrong on our side. Look up the request id in the log.",
    )
