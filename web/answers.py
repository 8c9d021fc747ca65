"""JSON answers: private ones, and ones that clients poll."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, current_app, jsonify, request
from werkzeug.wrappers import Response as BaseResponse

REPLAYED = "Idempotent-Replayed"
"""The header of a replayed answer: an earlier request had the same Idempotency-Key."""


def created_json(
    body: Mapping[str, Any], location: str = "", *, is_replay: bool = False
) -> Response:
    """201 with JSON that no cache may store; `location` is an absolute ASCII URL, or empty."""
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    if location:
        headers.append(("Location", location))
    if is_replay:
        headers.append((REPLAYED, "true"))
    return Response(current_app.json.dumps(body) + "\n", 201, headers)


def private_json(body: Any, status: int = 200) -> Response:
    """JSON that no cache may store."""
    response = jsonify(body)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response


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
