"""`/healthz` and `/readyz`: whether the process lives, and whether it can work."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from functools import cache
from typing import Any, Literal

import redis
from flask import Response, jsonify
from flask_openapi import OpenAPI
from pydantic import BaseModel, Field

from config import Settings, current_parts
from core.errors import BalcaoError
from core.runtime.redis_pools import is_replica, reconnect
from core.version import VERSION, read_revision
from repository.connections import check_readable, check_writable
from repository.database import Work, in_unit_of_work, ledger, now, reading
from web.answers import private_json
from web.api_docs import MACHINES, problems

LAG_MAX = timedelta(seconds=30)
"""A sweep that lags further behind is not running: it should lag two seconds at most."""


WELL = ("ok", "not configured")
"""The results of a check that found no problem."""
CheckName = Literal["database", "redis", "sweep", "bank"]
WARNINGS = ("bank",)
"""Checks that do not make /readyz answer 503: strangers could take the service away by them."""


class Alive(BaseModel):
    """The process answers; what it runs."""

    status: Literal["alive"]
    version: str
    revision: str | None
    """The git commit of the image; null in a checkout."""
    code_schema: str = Field(alias="schema")
    """The revision of the schema that the code was written for."""


class Readiness(BaseModel):
    """Whether the service can work, and the result of each check."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str]


class ReadinessQuery(BaseModel):
    """The checks to leave out, each as `exclude=NAME`."""

    exclude: list[CheckName] = []


def init_health(app: OpenAPI, settings: Settings, code_schema: Callable[[], str]) -> None:
    """Serve /healthz and /readyz; `code_schema` reads the revision of the code's schema."""

    @cache
    def versions() -> dict[str, str | None]:
        return {"version": VERSION, "revision": read_revision(), "schema": code_schema()}

    @app.get("/healthz", tags=[MACHINES], responses={200: Alive})
    def healthz() -> Response:
        """The process answers, and names the versions of its code and schema."""
        return jsonify(status="alive", **versions())

    @app.get(
        "/readyz", tags=[MACHINES], responses={200: Readiness, 503: Readiness, **problems(400)}
    )
    def readyz(query: ReadinessQuery) -> Response:
        """Whether database, Redis and sweep work; a 503 names the reason.

        `bank` names a problem, without a 503, while the bank's signatures keep failing. Each
        `exclude=NAME` leaves a check out: a balancer must not take every process away because
        Redis or the jobs, which all of them share, have stopped.
        """
        checks = health_checks(settings, frozenset(query.exclude))
        ready = all(state in WELL or name in WARNINGS for name, state in checks.items())
        body = {"status": "ready" if ready else "not ready", "checks": checks}
        response = private_json(body, 200 if ready else 503)
        if not ready:
            response.headers["Retry-After"] = "2"
        return response


def health_checks(settings: Settings, excluded: Collection[str] = ()) -> dict[str, str]:
    """The result of each check: one of WELL, or a sentence that names the problem.

    Excluded checks are not run, because a part that hangs would delay the answer.
    """
    parts = current_parts()
    checks: dict[str, str] = {}
    if "database" not in excluded:
        checks["database"] = _database()
    if "redis" not in excluded:
        checks["redis"] = _redis(parts.redis)
    if "sweep" not in excluded and checks.get("database", "ok") == "ok":
        checks["sweep"] = _sweep(settings)
    if "bank" not in excluded:
        checks["bank"] = parts.signature_failures.problem(now()) or "ok"
    return checks


def lag_allowed(settings: Settings) -> timedelta:
    """How far the sweep may lag behind a deadline."""
    return LAG_MAX + timedelta(seconds=settings.sweep_start_grace_seconds)


def _database() -> str:
    try:
        if ledger().is_write_unproved:
            # A read does not prove that the database works: with a full disk only writes fail.
            in_unit_of_work(_check_writable, attempts=1)
            ledger().written_at = now()
        else:
            with reading() as work:
                check_readable(work.connection)
    except BalcaoError as error:
        return error.detail
    except Exception as error:
        return f"The database failed with {type(error).__name__}."
    return "ok"


def _check_writable(work: Work) -> None:
    check_writable(work.connection, work.now)


def _redis(connection: Any) -> str:
    if connection is None:
        return "not configured"
    try:
        connection.ping()
        if is_replica(connection):
            reconnect(connection.connection_pool)
            return "Redis has another primary now."
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
