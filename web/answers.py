"""JSON answers: private ones, and ones that clients poll."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from flask import Response, current_app, jsonify, request
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Response as BaseResponse

from web.bodies import Complete

REPLAYED = "Idempotent-Replayed"
"""The header of a replayed answer: an earlier request had the same Idempotency-Key."""


def created_json(
    body: Mapping[str, Any], location: str = "", *, is_replay: bool = False
) -> Response:
    """201 with JSON that no cache may store; `location` is an ASCII URL or path, or empty."""
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    if location:
        headers.append(("Location", _as_sent(location)))
    if is_replay:
        headers.append((REPLAYED, "true"))
    return Complete(current_app.json.dumps(body) + "\n", 201, headers)


def _as_sent(location: str) -> str:
    """The URL with its host as Werkzeug would write it, in lower case."""
    scheme, mark, rest = location.partition("://")
    if not mark:
        return location
    host, slash, path = rest.partition("/")
    return f"{_origin(f'{scheme}://{host}')}{slash}{path}"


_origin = lru_cache(maxsize=16)(iri_to_uri)


def private_json(body: Any, status: int = 200) -> Response:
    """JSON that no cache may store."""
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    text = current_app.json.dumps(body, separators=(",", ":"))
    return Complete(f"{text}\n", status, headers)


POLLED_CACHING = "no-cache, private"
"""The Cache-Control of answers that clients poll."""


def polled_tag(status: str, sequence: int) -> str:
    """The value of the weak ETag of a payment's state."""
    return f"{status}-{sequence}"


def polled_json(body: Mapping[str, Any]) -> BaseResponse:
    """JSON about a payment that clients poll.

    The answer is 304 while `status` and `sequence` match the ETag in `If-None-Match`.
    """
    response = jsonify(body)
    response.headers["Cache-Control"] = POLLED_CACHING
    response.set_etag(polled_tag(body["status"], body["sequence"]), weak=True)
    return response.make_conditional(request)
