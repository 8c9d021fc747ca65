"""Tricks around each request and in the writing of answers."""

from __future__ import annotations

import gc
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from flask import Flask, Response, render_template, request
from flask_babel import get_translations
from flask_limiter import Limiter
from pydantic import BaseModel
from standardwebhooks import Webhook
from werkzeug.wrappers import Response as BaseResponse

from accounts import access, tokens
from benchmarks.tricks.trick import Trick, instead, uncached
from blueprints.checkout import look_routes, page_answers, page_routes
from config import parts_of
from core.json_text import load_json
from core.pix.br_code import encode
from core.runtime import setting_urls
from core.signing import signatures
from payments import opening, qr_answers, qr_image, qr_routes, routes, unchanged_polls
from web import bodies, idempotency, limits, pages, requests, static_answers, zones
from web.api_docs import DocumentedApp
from web.logs import plain_lines
from web.metrics import Metrics


def _rendered_plainly(template: str, **values: Any) -> str:
    """Let Jinja render the whole page."""
    return render_template(template, script_root=request.script_root, **values)


def _has_credentials() -> bool:
    return (
        "Authorization" in request.headers
        or tokens.ACCESS_COOKIE in request.cookies
        or tokens.REFRESH_COOKIE in request.cookies
    )


def _is_form() -> bool:
    return "text/html" in request.accept_mimetypes.values()


def _keyed_request(operation: str, body: BaseModel, without: set[str]) -> idempotency.KeyedRequest:
    fields = body.model_dump(mode="json", exclude=without)
    return idempotency.KeyedRequest(idempotency.request_key(), operation, fields)


def _check_each_text(data: bytes) -> Any:
    value = load_json(
        data,
        encoding="utf-8",
        on_constant=bodies._refuse_constant,
        on_members=bodies._without_duplicates,
    )
    bodies._check_text(value, 0)
    return value


@contextmanager
def _limiter_hooks(app: Flask) -> Iterator[None]:
    """Register the hooks that `limiter.init_app` alone would register."""
    check: Any = limits.limiter._check_request_limit
    inject: Any = partial(Limiter._Limiter__inject_headers, limits.limiter)  # type: ignore[attr-defined]
    release: Any = limits.limiter._Limiter__release_context  # type: ignore[attr-defined]
    hooks: list[tuple[Any, Any]] = [
        (app.before_request_funcs[None], check),
        (app.after_request_funcs[None], inject),
        (app.teardown_request_funcs.setdefault(None, []), release),
    ]
    for functions, hook in hooks:
        functions.append(hook)
    try:
        yield
    finally:
        for functions, hook in hooks:
            functions.remove(hook)


def _picture(text: str, kind: str, caching: str = qr_routes.FOR_EVER) -> BaseResponse:
    body = qr_image.qr_svg(text) if kind == "svg" else qr_image.qr_png(text)
    headers = [
        ("Content-Type", "image/svg+xml" if kind == "svg" else "image/png"),
        ("Cache-Control", caching),
        ("ETag", f'"{hashlib.sha256(body).hexdigest()[:32]}"'),
    ]
    return Response(body, headers=headers).make_conditional(request)


def _yield_each_time(self: requests.HubYield) -> None:
    """Yield to the hub after each request, as the simplest hook would do."""
    self._sleep(0)


_plain_headers: Callable[..., Any] = Response.get_wsgi_headers


@contextmanager
def _many_collections(_app: Flask) -> Iterator[None]:
    """Collect garbage as often as Python does by default."""
    threshold = gc.get_threshold()
    gc.set_threshold(700, *threshold[1:])
    try:
        yield
    finally:
        gc.set_threshold(*threshold)


@contextmanager
def _asked_each_time(app: Flask) -> Iterator[None]:
    """Look for coroutines and for the children of metrics at each request."""
    metrics: Metrics = parts_of(app).metrics
    forms = instead(
        (DocumentedApp, "ensure_sync", Flask.ensure_sync),
        (metrics, "_requests_of", metrics.requests.labels),
        (metrics, "_events_of", metrics.events.labels),
        (plain_lines, "write", lambda *_: False),
        (signatures, "_webhook", Webhook),
    )
    with forms(app), _many_collections(app):
        yield


TRICKS = [
    Trick(
        "what is the same for each request is not asked again, one step for the line in the log,"
        " fewer collections of garbage",
        "web/api_docs.py ensure_sync",
        ("QR of the receipt", "page as JSON", "poll", "create", "confirm"),
        _asked_each_time,
    ),
    Trick(
        "fewer yields to the hub",
        "web/requests.py HubYield",
        ("style sheet", "poll, unchanged", "QR", "create"),
        instead((requests.HubYield, "after_answer", _yield_each_time)),
    ),
    Trick(
        "no hooks of Flask-Limiter",
        "web/limits.py init_limits",
        ("poll", "QR of the receipt", "create"),
        _limiter_hooks,
    ),
    Trick(
        "only what the request needs is parsed and computed",
        "accounts/access.py has_credentials, web/bodies.py Complete and others",
        ("create", "create by key", "confirm"),
        instead(
            (access, "has_credentials", _has_credentials),
            (opening, "has_credentials", _has_credentials),
            (routes, "_is_form", _is_form),
            (routes, "keyed_request", _keyed_request),
            (bodies, "parse_json", _check_each_text),
            (bodies.Complete, "get_wsgi_headers", _plain_headers),
            (encode, "_fold_text", encode._fold_text.__wrapped__),
            (setting_urls, "location_base", setting_urls.location_base.__wrapped__),
        ),
    ),
    Trick(
        "values put into patterns",
        "web/page_patterns.py render_page",
        ("page", "page, cancelled", "receipt"),
        instead((page_routes, "render_page", _rendered_plainly)),
    ),
    Trick(
        "answered before Flask",
        "payments/unchanged_polls.py UnchangedPolls",
        ("poll, unchanged",),
        instead((unchanged_polls, "_TAG", re.compile("(?!)"))),
    ),
    Trick(
        "pictures answered before Flask",
        "payments/qr_answers.py QrAnswers",
        ("QR", "QR as PNG", "first QR, SVG"),
        instead((qr_answers, "_PATH", re.compile("(?!)"))),
    ),
    Trick(
        "usual pages answered before Flask",
        "blueprints/checkout/page_answers.py PageAnswers",
        ("usual page",),
        instead((page_answers, "_PATH", re.compile("(?!)"))),
    ),
    Trick(
        "files answered before Flask",
        "web/static_answers.py StaticAnswers",
        ("style sheet", "style sheet, unchanged"),
        instead((static_answers, "_PATH", re.compile("(?!)"))),
    ),
    Trick(
        "no If-None-Match, no conditional answer",
        "payments/qr_routes.py _picture",
        ("QR of the receipt",),
        instead((qr_routes, "_picture", _picture)),
    ),
    Trick(
        "catalogue looked up once",
        "web/pages.py _translations",
        ("page", "portal, list"),
        instead((pages, "_translations", get_translations)),
    ),
    Trick(
        "cached amounts",
        "web/pages.py _currency",
        ("page", "portal, list"),
        uncached(pages, "_currency"),
    ),
    Trick(
        "cached digests of files",
        "web/pages.py _digest",
        ("page", "portal, list"),
        uncached(pages, "_digest"),
    ),
    Trick(
        "cached names of zones",
        "web/zones.py _names",
        ("portal, list",),
        uncached(zones, "_names"),
    ),
    Trick(
        "cached style sheets",
        "web/brand.py style_sheet",
        ("brand",),
        uncached(look_routes, "style_sheet"),
    ),
]
