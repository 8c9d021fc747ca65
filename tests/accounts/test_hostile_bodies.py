"""Sign-up and sign-in with generated bodies: never a 5xx, and a refusal stores nothing."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.typed import caseless
from db_models import Account, SignIn
from repository.database import reading
from tests.accounts.people import PASSWORD, Person
from tests.support.clocks import FrozenClock
from tests.support.service import close_app, ready_app, settings_for

JSON_TEXT = st.text(max_size=80)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    JSON_TEXT,
    st.sampled_from(["a\x00b", "\ud800", "é" * 300, "' OR 1=1 --", "{{7*7}}", "\u202e", "%00"]),
    st.lists(JSON_TEXT, max_size=3),
    st.dictionaries(JSON_TEXT, JSON_TEXT, max_size=3),
)
LOGIN = st.text(string.ascii_letters + string.digits + "._-@+", min_size=1, max_size=64)
NAMES = ["username", "login", "password", "email", "name", "role", "next", "csrf_token", "x"]
BODIES = st.one_of(
    st.dictionaries(st.sampled_from(NAMES), ODD, max_size=7),
    st.fixed_dictionaries(
        {"username": st.one_of(LOGIN, JSON_TEXT), "password": st.one_of(JSON_TEXT, ODD)},
        optional={
            "email": ODD,
            "name": ODD,
            "role": st.one_of(st.sampled_from(["merchant", "payer", "admin"]), ODD),
        },
    ),
)
TEXTS = st.dictionaries(
    st.one_of(st.sampled_from([*NAMES, "grant_type", "refresh_token"]), JSON_TEXT),
    st.one_of(JSON_TEXT, LOGIN),
    max_size=6,
)
WRITTEN = JSON_TEXT.map(lambda text: text.encode("utf-8", "replace"))
RAW = st.one_of(st.binary(max_size=200), WRITTEN)
TYPES = st.sampled_from(
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "text/plain",
        "",
    ]
)
MANY = hypothesis_settings(
    max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """A service with very high limits, and Alice's account."""
    folder: Path = tmp_path_factory.mktemp("hostile")
    settings = settings_for(
        f"sqlite:///{folder}/balcao.sqlite3",
        folder,
        sign_ups_per_address_max=100_000,
        sign_in_tries_max=1000,
        sign_in_tries_per_address_max=100_000,
        sign_in_tries_per_login_max=100_000,
    )
    app = ready_app(settings, FrozenClock())
    Person(app, "alice").sign_up()
    yield app
    close_app(app)


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 with its real costs would take most of the time of these tests."""
    from argon2 import PasswordHasher

    from accounts import passwords

    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", cheap)


def json_request(body: Any) -> dict[str, Any]:
    """The body as JSON, in which even a lone surrogate can be written."""
    return {"data": json.dumps(body), "headers": {"Content-Type": "application/json"}}


def header_text(text: str) -> str:
    """The text without the characters that a header cannot contain."""
    latin = text.encode("latin-1", "replace").decode("latin-1")
    return "".join(char for char in latin if char not in "\r\n\x00")


def counts(app: Flask) -> tuple[int, int]:
    """How many accounts and sign-ins there are."""
    with app.app_context(), reading() as work:
        query = sa.select(
            sa.select(sa.func.count(Account.id)).scalar_subquery(),
            sa.select(sa.func.count(SignIn.id)).scalar_subquery(),
        )
        accounts, sign_ins = work.session.execute(query).one()
        return int(accounts), int(sign_ins)


def is_well_refused(answer: Any) -> bool:
    """Whether the answer is a 4xx with the members of every error."""
    body = answer.get_json(force=True, silent=True) or {}
    return 400 <= answer.status_code < 500 and {"code", "detail", "errors"} <= set(body)


@MANY
@given(body=BODIES)
def test_sign_up_stores_one_account_or_nothing(app, body):
    """Either 201 and a row, or a 4xx and no row."""
    before = counts(app)
    answer = app.test_client().post("/users/", **json_request(body))
    if answer.status_code == 201:
        assert counts(app) == (before[0] + 1, before[1])
        assert answer.get_json()["username"] == caseless(body["username"])
    else:
        assert is_well_refused(answer), (answer.status_code, answer.text)
        assert counts(app) == before


@MANY
@given(body=BODIES)
def test_only_the_right_password_opens_a_session(app, body):
    """No other body opens one."""
    if body.get("username", body.get("login")) == "alice" and body.get("password") == PASSWORD:
        return
    before = counts(app)
    for answer in (
        app.test_client().post("/api/login", **json_request(body)),
        app.test_client().post("/token/refresh", **json_request(body)),
    ):
        assert is_well_refused(answer), (answer.status_code, answer.text)
    assert counts(app)[1] == before[1]


@MANY
@given(fields=TEXTS)
def test_forms_are_read_as_strictly_as_json(app, fields):
    """By the two routes that take forms, and by the page."""
    before = counts(app)
    data = {name.encode("utf-8", "replace").decode(): value for name, value in fields.items()}
    safe = {name: value.encode("utf-8", "replace").decode() for name, value in data.items()}
    for path in ("/token", "/api/login"):
        answer = app.test_client().post(path, data=safe)
        assert is_well_refused(answer), (path, answer.status_code, answer.text)
    assert counts(app) == before
    page = app.test_client().post("/signup", data=safe, headers={"Accept": "text/html"})
    assert page.status_code < 500
    new = page.status_code == 303
    assert counts(app) == (before[0] + new, before[1] + new)


@MANY
@given(body=RAW, content_type=TYPES)
def test_bytes_of_any_kind_are_refused_in_words(app, body, content_type):
    """Under every content type."""
    before = counts(app)
    for path in ("/users/", "/token", "/token/refresh", "/api/login", "/signup"):
        answer = app.test_client().post(path, data=body, headers={"Content-Type": content_type})
        assert 400 <= answer.status_code < 500, (path, answer.status_code, answer.text)
    assert counts(app) == before


@MANY
@given(
    authorization=st.text(max_size=60).map(header_text),
    cookie=st.text(string.printable, max_size=60).map(header_text),
    csrf=st.text(max_size=40).map(header_text),
)
def test_credentials_of_any_kind_are_refused_in_words(app, authorization, cookie, csrf):
    """Headers and cookies are untrusted input too."""
    client = app.test_client()
    header = {"Authorization": f"Bearer {authorization}", "X-CSRF-TOKEN": csrf}
    assert client.get("/users/me/", headers=header).status_code == 401
    client.set_cookie("access_token", cookie or "x")
    client.set_cookie("device", cookie)
    posted = client.post("/api/keys", json={}, headers={"X-CSRF-TOKEN": csrf})
    assert posted.status_code == 401
    login = {"login": "nobody", "password": "x"}
    assert client.post("/api/login", json=login).status_code == 401
