"""Whether the process lives, and whether it can do its work."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import redis
from flask import Response, jsonify
from flask_openapi import OpenAPI
from pydantic import BaseModel

from config import Settings, current_parts
from core.errors import BalcaoError
from repository.connections import check_readable, check_writable
from repository.database import Work, in_unit_of_work, ledger, now, reading
from web.answers import private_json
from web.api_docs import MACHINES

LAG_MAX = timedelta(seconds=30)
"""A sweep that far behind is not running: watchers are promised two seconds."""


WELL = ("ok", "not configured")
"""What a check answers where nothing is wrong."""


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"]


class Readiness(BaseModel):
    """Whether the service can do its work, and each part's answer."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str]


def init_health(app: OpenAPI, settings: Settings) -> None:
    """Serve /healthz and /readyz."""

    @app.get("/healthz", tags=[MACHINES], responses={200: Alive})
    def healthz() -> Response:
        """The process answers."""
        return jsonify(status="alive")

    @app.get("/readyz", tags=[MACHINES], responses={200: Readiness, 503: Readiness})
    def readyz() -> Response:
        """Database, Redis and sweep do their work; 503 with the reason otherwise."""
        checks = health_checks(settings)
        ready = all(state in WELL for state in checks.values())
        body = {"status": "ready" if ready else "not ready", "checks": checks}
        response = private_json(body, 200 if ready else 503)
        if not ready:
            response.headers["Retry-After"] = "2"
        return response


def health_checks(settings: Settings) -> dict[str, str]:
    """How each part of the service is: one of WELL, or a sentence that says what is wrong."""
    checks = {"database": _database(), "redis": _redis(current_parts().redis)}
    if checks["database"] == "ok":
        checks["sweep"] = _sweep(settings)
    return checks


def lag_allowed(settings: Settings) -> timedelta:
    """How far the sweep may be behind a deadline."""
    return LAG_MAX + timedelta(seconds=settings.sweep_start_grace_seconds)


def _database() -> str:
    try:
        if ledger().is_unwritten_since_loss:
            # Reading is not enough: a full disk reads well.
            in_unit_of_work(_check_writable, attempts=1)
            ledger().written_at = now()
        else:
            with reading() as work:
                check_readable(work.connection)
    except BalcaoError as error:
        return error.detail
    except Exception as error:
        return f"The database answers with {type(error).__name__}."
    return "ok"


def _check_writable(work: Work) -> None:
    check_writable(work.connection, work.now)


def _redis(connection: Any) -> str:
    if connection is None:
        return "not configured"
    try:
        connection.ping()
    except redis.RedisError as error:
        return f"Redis does not answer ({type(error).__name__})."
    return "ok"


def _sweep(settings: Settings) -> str:
    with reading() as work:
        oldest = work.payments.oldest_due(work.now)
        lag = work.now - oldest if oldest else timedelta(0)
    current_parts().metrics.sweep_lag.set(lag.total_seconds())
    if lag > lag_allowed(settings):
        return f"The sweep is {lag.total_seconds():.0f} s behind."
    return "ok"
