"""Idempotency-Key at the doors of this folder, whose answers hold what must not be kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import request

from core.errors import FieldError, IdempotencyConflict, InvalidRequest
from db_models import IdempotentRequest

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x20-\x7e]{1,255}")


def request_key() -> str | None:
    """The request's Idempotency-Key. Raises InvalidRequest unless it has 1 to 255 characters."""
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest([FieldError(HEADER, "must be 1 to 255 printable ASCII characters")])
    return key


def differing_fields(kept: IdempotentRequest, operation: str, asked: Mapping[str, Any]) -> None:
    """Raise IdempotencyConflict, naming what differs, unless this is the request that was kept."""
    differing = [name for name, value in asked.items() if kept.request.get(name) != value]
    if kept.operation != operation:
        differing = ["(the operation)", *differing]
    if differing:
        raise IdempotencyConflict(
            f"This Idempotency-Key came before with other values of: {', '.join(differing)}.",
            [FieldError(name, "differs from the first request") for name in differing],
        )
