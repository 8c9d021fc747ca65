"""The documents as pages, and the API's reference: nothing is loaded from outside."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import flask_openapi_swagger
from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    g,
    jsonify,
    render_template,
    send_from_directory,
    url_for,
)
from flask.typing import ResponseReturnValue

from config import current_settings
from core.errors import BalcaoError, NotFound
from web.compression import public_text
from web.docs_pages import ADDRESS, ROOT, document_names, error_help, read_document
from web.problems import CODE_OF_STATUS, status_of

bp = Blueprint("docs", __name__)

_SWAGGER = Path(flask_openapi_swagger.__file__).parent / "templates" / "swagger"
_IN_MENU = (
    "developers",
    "first-integration",
    "routes",
    "webhooks",
    "events",
    "errors",
    "settings",
    "operators",
)
"""Documents with a place of their own in the menu; the others are listed below them."""


@bp.get("/openapi.json")
@public_text
def openapi() -> ResponseReturnValue:
    """The OpenAPI document."""
    return jsonify(_api_doc())


@bp.get("/docs")
@public_text
def guide() -> str:
    """The developer's path."""
    return _page("developers")


@bp.get("/docs/<name>")
@public_text
def document(name: str) -> str:
    """Another document of the project. Raises NotFound."""
    if name not in document_names():
        raise NotFound("There is no such document.")
    return _page(name)


@bp.get("/docs/errors")
@public_text
def error_list() -> str:
    """All error codes with cause and remedy; the `type` of an error leads here."""
    return _framed("docs/errors.html", "errors", rows=error_rows(), help=error_help())


@bp.get("/docs/api")
@public_text
def api() -> str:
    """All operations by task, payments first."""
    return _framed("docs/api.html", "api", tasks=operations_by_task(_api_doc()))


@bp.get("/docs/swagger")
@public_text
def swagger() -> str:
    """Swagger UI, loaded when the reader asks for it; *Authorize* takes an API key."""
    return _framed("docs/swagger.html", "swagger")


@bp.get("/docs/assets/<path:name>")
@public_text
def docs_asset(name: str) -> Response:
    """Serve a file of Swagger UI."""
    response = send_from_directory(_SWAGGER, name)
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response


@dataclass(frozen=True)
class Operation:
    """One operation of the API, for the list by task."""

    method: str
    path: str
    summary: str
    anchor: str
    """The fragment under which Swagger UI opens the operation."""


def operations_by_task(api_doc: dict[str, Any]) -> dict[str, list[Operation]]:
    """The operations of the OpenAPI document by tag, in the order of its tags."""
    tasks: dict[str, list[Operation]] = {tag["name"]: [] for tag in api_doc["tags"]}
    for path, operations in api_doc["paths"].items():
        for method, operation in sorted(operations.items(), key=_creation_first):
            tag = operation["tags"][0]
            anchor = f"#/{tag}/{operation['operationId']}".replace(" ", "%20")
            tasks[tag].append(Operation(method.upper(), path, operation["summary"], anchor))
    return tasks


def _creation_first(item: tuple[str, Any]) -> bool:
    return item[0] != "post"


def _api_doc() -> dict[str, Any]:
    document_: dict[str, Any] = current_app.api_doc  # type: ignore[attr-defined]  # web.api_docs
    return document_


def _page(name: str) -> str:
    page = read_document(name)
    body = page.body.replace(ADDRESS, current_settings().public_url)
    body = body.replace(f'href="{ROOT}', f'href="{url_for("docs.guide")}/')
    return _framed("docs/page.html", name, page=page, body=body)


def _framed(template: str, section: str, **values: Any) -> str:
    """Render a page in the frame of the documents, which are in English."""
    g.language = "en"
    others = [name for name in document_names() if name not in _IN_MENU]
    return render_template(template, section=section, others=others, **values)


def error_rows() -> list[tuple[str, int, str]]:
    """Every error code, sorted: code, HTTP status, title."""
    titles = {kind.code: (status_of(kind), kind.title) for kind in _kinds(BalcaoError)}
    for status, code in CODE_OF_STATUS.items():
        titles.setdefault(code, (status, HTTPStatus(status).phrase))
    return sorted((code, status, title) for code, (status, title) in titles.items())


def _kinds(kind: type[BalcaoError]) -> list[type[BalcaoError]]:
    """The errors below `kind`, without the bank's errors, which share the same root."""
    below = [deeper for child in kind.__subclasses__() for deeper in _kinds(child)]
    return below if kind.__module__.startswith("bank.") else [kind, *below]


def init_docs(app: Flask) -> None:
    """Serve /openapi.json and /docs."""
    app.register_blueprint(bp)
