"""The API's document, and Swagger UI from the installed package: nothing is loaded from outside."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import flask_openapi_swagger
from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    jsonify,
    render_template,
    send_from_directory,
)
from flask.typing import ResponseReturnValue

from core.errors import BalcaoError
from web.problems import CODE_OF_STATUS, status_of

bp = Blueprint("docs", __name__)

_SWAGGER = Path(flask_openapi_swagger.__file__).parent / "templates" / "swagger"


@bp.get("/openapi.json")
def openapi() -> ResponseReturnValue:
    """The OpenAPI document."""
    return jsonify(current_app.api_doc)  # type: ignore[attr-defined]  # made by web.api_docs


@bp.get("/docs")
def docs() -> ResponseReturnValue:
    """Swagger UI; *Authorize* takes an API key."""
    return render_template("docs/swagger.html")


@bp.get("/docs/assets/<path:name>")
def docs_asset(name: str) -> Response:
    """Serve a file of Swagger UI."""
    response = send_from_directory(_SWAGGER, name)
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response


@bp.get("/docs/errors")
def error_list() -> ResponseReturnValue:
    """The page of all error codes, to which the `type` of an error leads."""
    return render_template("docs/errors.html", rows=error_rows())


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
