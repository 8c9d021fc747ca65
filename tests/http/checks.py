"""What the tests of every door look at: an error's form, the rows that are there, a stranger."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from db_models.base import db

MEMBERS = {"type", "title", "status", "detail", "message", "code", "errors", "request_id"}
CHARLIES_KEY = "charlie@example.com"


def problem(answer: TestResponse, status: int, code: str | None = None) -> dict[str, Any]:
    """The error's members, once it has been seen to have the contract's form."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.content_type == "application/problem+json"
    found: dict[str, Any] = answer.get_json()
    assert set(found) == MEMBERS
    assert found["status"] == status
    assert found["message"] == found["detail"]
    assert found["request_id"] == answer.headers["X-Request-ID"]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", found["code"])
    assert found["type"].endswith(f"/docs/errors#{found['code']}")
    assert all(set(error) == {"field", "detail"} for error in found["errors"])
    if code is not None:
        assert found["code"] == code, found["detail"]
    return found


def fields(found: Mapping[str, Any]) -> list[str]:
    """The fields an error names."""
    return [error["field"] for error in found["errors"]]


def rows(app: Flask) -> dict[str, int]:
    """How many rows each table holds."""
    with app.app_context(), db.engine.connect() as connection:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in db.metadata.sorted_tables
        }


def add_merchant(
    app: Flask, login: str = "charlie", pix_key: str = CHARLIES_KEY, *options: str
) -> str:
    """Add a merchant with the operator's command; gives its API key."""
    about = ["--name", "Charlie & Cia", "--city", "Recife", "--pix-key", pix_key, *options]
    done = app.test_cli_runner().invoke(args=["merchant", "add", login, *about])
    assert done.exit_code == 0, done.output
    return done.output.strip().splitlines()[-1]


def client_of(app: Flask, api_key: str) -> Any:
    """A client that sends this API key with every request.

    Any, so that a test reads the JSON of its answers without first asking whether there is one.
    """
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {api_key}"
    return client
