"""Shared checks: the members of an error, the number of rows, another merchant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import Flask
from sqlalchemy import Dialect, String, func, literal, select, union_all
from werkzeug.test import TestResponse

from db_models.base import db
from payments.answers import PublicPayment

MEMBERS = {"type", "title", "status", "detail", "message", "code", "errors", "request_id"}
CHARLIES_KEY = "charlie@example.com"


def problem(answer: TestResponse, status: int, code: str | None = None) -> dict[str, Any]:
    """Check that the answer is an error with the agreed members, and return them."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.content_type == "application/problem+json"
    body: dict[str, Any] = answer.get_json()
    assert set(body) == MEMBERS
    assert body["status"] == status
    assert body["message"] == body["detail"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", body["code"])
    assert body["type"].endswith(f"/docs/errors#{body['code']}")
    assert all(set(error) == {"field", "detail"} for error in body["errors"])
    if code is not None:
        assert body["code"] == code, body["detail"]
    return body


def pix_problem(answer: TestResponse) -> tuple[int, str]:
    """The status and the type of an error in the form of API Pix."""
    assert answer.content_type == "application/problem+json", answer.text[:500]
    body: dict[str, Any] = answer.get_json()
    assert body["status"] == answer.status_code
    assert body["correlationId"] == answer.headers["X-Request-ID"]
    base, _, name = body["type"].rpartition("/")
    assert base == "https://pix.bcb.gov.br/api/v2/error"
    return answer.status_code, name


def fields(body: Mapping[str, Any]) -> list[str]:
    """The fields that an error names."""
    return [error["field"] for error in body["errors"]]


def rows(app: Flask) -> dict[str, int]:
    """How many rows each table holds."""
    with app.app_context(), db.engine.connect() as connection:
        statement = _count_statement(connection.dialect)
        return {name: int(number) for name, number in connection.exec_driver_sql(statement)}


def _count_statement(dialect: Dialect) -> str:
    """One statement that counts the rows of every table.

    Its text is made once: making a statement for each table took longer than counting.
    """
    if dialect.name not in _count_statements:
        counts = (
            select(literal(table.name, String()), func.count()).select_from(table)
            for table in db.metadata.sorted_tables
        )
        text = union_all(*counts).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        _count_statements[dialect.name] = str(text)
    return _count_statements[dialect.name]


_count_statements: dict[str, str] = {}
"""The statement by the name of the dialect."""


def public_view(payment: Mapping[str, Any]) -> dict[str, Any]:
    """The public view of a payment, from its merchant's view."""
    return {name: payment[name] for name in PublicPayment.model_fields}


def add_merchant(
    app: Flask, login: str = "charlie", pix_key: str = CHARLIES_KEY, *options: str
) -> str:
    """Add a merchant with the operator's command; return its API key."""
    about = ["--name", "Charlie & Cia", "--city", "Recife", "--pix-key", pix_key, *options]
    result = app.test_cli_runner().invoke(args=["merchant", "add", login, *about])
    assert result.exit_code == 0, result.output
    return result.output.strip().splitlines()[-1]


def client_of(app: Flask, api_key: str) -> Any:
    """A client that sends this API key with every request.

    The type is Any, so that a test can read JSON without first checking for None.
    """
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {api_key}"
    return client
