"""`GET /api-pix/openapi.json`: the document of the operations that this service routes."""

from __future__ import annotations

import json

from flask import Blueprint, Flask, Response, current_app

from blueprints.pix_api.document import cut_to, routed_shapes, whole_document
from blueprints.pix_api.problems import PREFIX
from web.compression import public_text

bp = Blueprint("pix_api_document", __name__, url_prefix=PREFIX)

_BASE = f"{PREFIX}/v2"
_CACHED = "pix_api_document"


def init_document_route(app: Flask) -> None:
    """Add the route."""
    app.register_blueprint(bp)


@bp.get("/openapi.json")
@public_text
def openapi() -> Response:
    """The OpenAPI document of API Pix, as this service answers it."""
    text: str | None = current_app.extensions.get(_CACHED)
    if text is None:
        routed = routed_shapes(current_app.url_map.iter_rules(), _BASE)
        text = json.dumps(cut_to(whole_document(), routed), ensure_ascii=False)
        current_app.extensions[_CACHED] = text
    return Response(text, content_type="application/json")
