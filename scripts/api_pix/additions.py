"""What this service answers besides the official document of API Pix, and its extensions.

The official document lists no 401, and 400 only for some operations, though its text says that
general errors may come from every operation. Each error answer names its possible types.
"""

from __future__ import annotations

import copy
from functools import cache
from http import HTTPStatus
from typing import Any

from scripts.api_pix.mends import mended_document
from scripts.api_pix.official import Document, operations, resolved
from scripts.api_pix.problem_types import TYPE_BASE, Operation, types_for

EXTENSION = "x-balcao-extension"
"""Marks what API Pix does not have."""
GENERAL_TYPES = {
    400: "RequisicaoInvalida",
    401: "AcessoNegado",
    403: "AcessoNegado",
    404: "NaoEncontrado",
    405: "RequisicaoInvalida",
    413: "RequisicaoInvalida",
    415: "RequisicaoInvalida",
    429: "RequisicaoInvalida",
    503: "ServicoIndisponivel",
}
"""The type of an error that any operation may answer, by status."""
_HEADERS = {
    401: ("WWW-Authenticate", "`Bearer`: the token is missing, unknown or expired."),
    429: ("Retry-After", "Seconds until the next request may be sent."),
    503: ("Retry-After", "Seconds until the next request may be sent."),
}
_EVERYWHERE = (400, 401, 403, 413, 429, 503)
_WITH_BODY = (415,)
PROBLEM_JSON = "application/problem+json"


def problem_answer(status: int, types: list[str]) -> dict[str, Any]:
    """The answer with this status, whose `type` is one of these."""
    answer: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {
            PROBLEM_JSON: {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problema"},
                        {
                            "type": "object",
                            "properties": {
                                "type": {"enum": [TYPE_BASE + name for name in types]},
                                "status": {"enum": [status]},
                            },
                        },
                    ]
                }
            }
        },
    }
    if status in _HEADERS:
        name, description = _HEADERS[status]
        answer["headers"] = {name: {"description": description, "schema": {"type": "string"}}}
    return answer


def error_statuses(path: str, operation: dict[str, Any]) -> list[int]:
    """The error statuses that this operation may answer."""
    official = {int(status) for status in operation["responses"] if int(status) >= 400}
    added = {*_EVERYWHERE, *(_WITH_BODY if "requestBody" in operation else ())}
    return sorted(official | added | ({404} if "{" in path else set()))


_IMAGE = {"type": "string", "pattern": "^data:image/(png|svg\\+xml);base64,[A-Za-z0-9+/=]+$"}
_EXTENSIONS: dict[str, dict[str, Any]] = {
    "/loc/{id}/qrcode": {
        "get": {
            "tags": ["PayloadLocation"],
            "summary": "Recuperar o QR Code de uma location (extensão).",
            "description": "Not part of API Pix; several PSPs offer it, and SDKs call it.",
            "security": [{"OAuth2": ["payloadlocation.read"]}],
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
            ],
            "responses": {
                "200": {
                    "description": "The code as text and picture.",
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["qrcode", "imagemQrcode"],
                                "properties": {
                                    "qrcode": {"type": "string", "maxLength": 512},
                                    "imagemQrcode": _IMAGE,
                                    "linkVisualizacao": {"type": "string"},
                                },
                            }
                        }
                    },
                },
                "404": {"$ref": "#/components/responses/NaoEncontrado"},
            },
        }
    },
    "/cob/pagar/{txid}": {
        "post": {
            "tags": ["Cob"],
            "summary": "Pagar uma cobrança imediata pelo banco simulado (extensão).",
            "description": "Not part of API Pix, and served in development only.",
            "security": [{"OAuth2": ["cob.write"]}],
            "parameters": [
                {
                    "name": "txid",
                    "in": "path",
                    "required": True,
                    "schema": {"$ref": "#/components/schemas/TxId"},
                }
            ],
            "responses": {
                "200": {
                    "description": "The charge; the simulated bank pays it within seconds.",
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/CobCompleta"}}
                    },
                },
                "404": {"$ref": "#/components/responses/NaoEncontrado"},
            },
        }
    },
}
_TYPES_OF_EXTENSIONS: dict[Operation, dict[int, list[str]]] = {
    ("GET", "/loc/{id}/qrcode"): {404: ["PayloadLocationNaoEncontrado", "CobNaoEncontrado"]},
    ("POST", "/cob/pagar/{txid}"): {404: ["CobNaoEncontrado"], 400: ["CobOperacaoInvalida"]},
}


@cache
def full_document() -> Document:
    """The mended document with our additions, all operations. Treat it as read-only."""
    document = copy.deepcopy(mended_document())
    for path, item in _EXTENSIONS.items():
        marked = {method: {EXTENSION: True, **operation} for method, operation in item.items()}
        document["paths"][path] = copy.deepcopy(marked)
    for method, path, operation in operations(document):
        own = _TYPES_OF_EXTENSIONS.get((method, path), {})
        for status in error_statuses(path, operation):
            types = [*own.get(status, []), *types_for((method, path), status)]
            answer = problem_answer(status, [*types, GENERAL_TYPES[status]])
            official = resolved(document, operation["responses"].get(str(status), {}))
            answer["description"] = official.get("description", answer["description"])
            operation["responses"][str(status)] = answer
        _require_headers(operation)
    return document


def _require_headers(operation: dict[str, Any]) -> None:
    """Every header of an answer is always sent."""
    for answer in operation["responses"].values():
        for header in answer.get("headers", {}).values():
            header["required"] = True
