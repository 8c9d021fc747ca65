"""A service with its bank, and helpers to send texts and pictures of codes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from payments.qr_image import qr_png
from tests.support.databases import Databases
from tests.support.town import Town, town

NO_LIMITS = {"recovery_tries_per_minute": 100_000, "recovery_pictures_per_minute": 100_000}


@pytest.fixture
def here(fresh_database, tmp_path) -> Iterator[Town]:
    """A service and its bank under one clock; no job reconciles, so a lost notice stays lost."""
    with town(fresh_database("sqlite"), tmp_path, **NO_LIMITS) as new_town:
        yield new_town


@pytest.fixture(scope="module")
def one_town(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One town for a test file whose tests neither move the clock nor count rows."""
    with (
        databases.fresh("sqlite") as url,
        town(url, tmp_path_factory.mktemp("town"), **NO_LIMITS) as new_town,
    ):
        yield new_town


@pytest.fixture
def there(any_database_url, tmp_path) -> Iterator[Town]:
    """A service and its bank, once per database engine."""
    with town(any_database_url, tmp_path, **NO_LIMITS) as new_town:
        yield new_town


def picture(text: str) -> bytes:
    """The service's QR picture of a text."""
    return qr_png(text)


def form(data: bytes, name: str = "print.png", **fields: Any) -> dict[str, Any]:
    """A form with a picture, as a browser sends it."""
    return {"file": (io.BytesIO(data), name), **fields}


def ask(town: Town, verb: str, text: str, **headers: str) -> TestResponse:
    """Send a QR's text: `verify-qr` or `recover-from-qr`."""
    return town.client().post(
        f"/api/payment/{verb}", json={"qr_data": text}, headers={"Accept-Language": "en", **headers}
    )


def recover(town: Town, text: str) -> dict[str, Any]:
    """Find the payment and ask the bank; fail unless the payment is found."""
    answer = ask(town, "recover-from-qr", text)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.get_json()
    return body


def upload(town: Town, data: bytes, **fields: Any) -> TestResponse:
    """Send a picture."""
    return town.client().post(
        "/api/payment/upload-screenshot-with-qr",
        data=form(data, **fields),
        headers={"Accept-Language": "en"},
    )


def multipart(data: bytes, name: str = "print.png", **fields: str) -> tuple[bytes, str]:
    """A form with a picture as bytes, and its content type, for a served process."""
    return encode_body({"file": FileStorage(io.BytesIO(data), name), **fields})


def encode_body(fields: dict[str, Any]) -> tuple[bytes, str]:
    """A form as bytes, and its content type."""
    edge, body = encode_multipart(fields)
    return body, f"multipart/form-data; boundary={edge}"


@pytest.fixture
def dump() -> Callable[[Town], dict[str, list[Any]]]:
    """Every row of every table of the service."""

    def rows(town: Town) -> dict[str, list[Any]]:
        import sqlalchemy as sa

        names = sa.inspect(town.tables.engine).get_table_names()
        return {
            name: [tuple(row) for row in town.tables.rows(f"SELECT * FROM {name}")]  # noqa: S608
            for name in sorted(names)
            if not name.startswith("bank_")
        }

    return rows
