"""Two processes on one database: credentials that one revokes are refused by the other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from core.clock import SystemClock
from tests.accounts.people import PASSWORD, bearer
from tests.support.plugin import ENGINES
from tests.support.service import ServiceProcess, close_app, ready_app, settings_for

FRESH = "another horse battery"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def post(process: ServiceProcess, path: str, body: Any, headers: Any = None) -> tuple[int, Any]:
    """POST JSON to one process; return the status and the parsed answer."""
    data = json.dumps(body).encode()
    status, answer, _ = process.request("POST", path, data, {**JSON, **(headers or {})})
    return status, json.loads(answer)


def tokens(process: ServiceProcess, **form: str) -> tuple[int, Any]:
    """Ask one process for tokens, by the OAuth2 form."""
    fields = form or {"username": "alice", "password": PASSWORD}
    status, answer, _ = process.request("POST", "/token", urlencode(fields).encode(), FORM)
    return status, json.loads(answer)


def me(process: ServiceProcess, token: str) -> int:
    """The status of `GET /users/me/` with the token."""
    return process.request("GET", "/users/me/", headers=bearer(token))[0]


@pytest.fixture(scope="module", params=ENGINES)
def two(
    request: pytest.FixtureRequest,
    module_database: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ServiceProcess, ServiceProcess]]:
    """Two processes on one database, once for each engine."""
    folder = tmp_path_factory.mktemp(f"two-{request.param}")
    url = module_database(request.param)
    # Tokens name their issuer, so both processes have the same public URL.
    with (
        ServiceProcess(folder / "one", DATABASE_URL=url) as first,
        ServiceProcess(folder / "two", DATABASE_URL=url, PUBLIC_URL=first.url) as second,
    ):
        yield first, second


def sign_up(process: ServiceProcess, login: str) -> None:
    """A new account at one process."""
    status, _ = post(process, "/users/", {"username": login, "password": PASSWORD})
    assert status == 201


def test_what_one_process_ends_the_other_refuses_at_once(two):
    """Both processes are asked right before and right after each change."""
    first, second = two
    sign_up(first, "alice")
    _, own = tokens(first)
    header = bearer(own["access_token"])

    # A key, in use at the other process up to the moment it is revoked.
    status, key = post(first, "/api/keys", {"scopes": ["payments:read"]}, header)
    assert status == 201
    for process in two:
        assert process.request("GET", "/payments/pix", headers=bearer(key["key"]))[0] == 200
    assert first.request("DELETE", f"/api/keys/{key['id']}", headers=header)[0] == 200
    for process in two:
        assert process.request("GET", "/payments/pix", headers=bearer(key["key"]))[0] == 401

    # A sign-out at the first.
    _, other = tokens(second)
    assert [me(process, other["access_token"]) for process in two] == [200, 200]
    status, _ = post(first, "/api/logout", {}, bearer(other["access_token"]))
    assert status == 200
    assert [me(process, other["access_token"]) for process in two] == [401, 401]

    # A refresh token that was rotated at both processes and is used again.
    _, stolen = tokens(first)
    old_token = {"grant_type": "refresh_token", "refresh_token": stolen["refresh_token"]}
    status, next_one = tokens(second, **old_token)
    assert status == 200
    status, last = tokens(
        first, grant_type="refresh_token", refresh_token=next_one["refresh_token"]
    )
    assert (status, me(second, last["access_token"])) == (200, 200)
    assert tokens(second, **old_token)[0] == 401
    assert [me(process, last["access_token"]) for process in two] == [401, 401]
    ended = {"grant_type": "refresh_token", "refresh_token": last["refresh_token"]}
    assert [tokens(process, **ended)[0] for process in two] == [401, 401]

    # A new password ends every session except the one that changes it.
    spies = [tokens(process)[1]["access_token"] for process in two]
    body = {"current_password": PASSWORD, "new_password": FRESH}
    status, answer = post(second, "/users/me/password", body, header)
    assert (status, answer["ended_sessions"]) == (200, 2)
    for process in two:
        assert [me(process, spy) for spy in spies] == [401, 401]
        assert me(process, own["access_token"]) == 200
        assert tokens(process)[0] == 401


def test_a_browsers_cookies_open_both_processes(two):
    """A proxy sends requests to either process; both accept the CSRF token."""
    first, second = two
    sign_up(first, "bob")
    data = json.dumps({"login": "bob", "password": PASSWORD}).encode()
    request = first.request("POST", "/api/login", data, JSON)
    assert request[0] == 200
    answer = json.loads(request[1])
    jar = SimpleCookie()
    jar["access_token"] = answer["access_token"]
    cookie = {"Cookie": jar.output(header="", sep=";").strip()}
    assert second.request("GET", "/users/me/", headers=cookie)[0] == 200
    assert post(second, "/payments/pix", {"value": 1}, cookie)[0] == 403
    csrf = {**cookie, "X-CSRF-TOKEN": answer["csrf_token"]}
    assert post(second, "/payments/pix", {"value": 1}, csrf)[0] == 201
    assert post(second, "/api/logout", {}, csrf)[0] == 200
    assert first.request("GET", "/users/me/", headers=cookie)[0] == 401


def test_the_demo_merchants_password_is_printed_and_opens_the_portals_sign_in(
    serve: Callable[..., ServiceProcess], tmp_path: Path
):
    """After the first start the operator can sign in at once; only they can read the file."""
    process = serve(is_first_start=True)
    file = process.instance / "demo_password"
    assert file.stat().st_mode & 0o077 == 0
    password = file.read_text().strip()
    assert _logs(process, f"(demo, {password})")
    status, answer = post(process, "/api/login", {"login": "demo", "password": password})
    assert (status, answer["user"]["role"]) == (200, "merchant")
    assert me(process, answer["access_token"]) == 200


def test_in_production_the_start_says_how_the_first_account_is_made(
    serve: Callable[..., ServiceProcess], tmp_path: Path
):
    """Production creates no account itself, and a sign-in page does not explain that."""
    environment: dict[str, Any] = {
        "APP_ENV": "production",
        "PUBLIC_URL": "https://shop.example",
        "DATABASE_URL": f"sqlite:///{tmp_path}/balcao.sqlite3",
    }
    app = ready_app(
        settings_for(environment["DATABASE_URL"], tmp_path, app_env="production"), SystemClock()
    )
    try:
        process = serve(**environment)
        assert _logs(process, "accounts create LOGIN")
        process.kill()
        result = app.test_cli_runner().invoke(
            args=["accounts", "create", "ana", "--password-stdin"], input=f"{PASSWORD}\n"
        )
        assert result.exit_code == 0, result.output
        again = serve(**environment)
        assert _logs(again, "Balcão is open")
        assert "accounts create LOGIN" not in again.log()
    finally:
        close_app(app)


def _logs(process: ServiceProcess, words: str) -> bool:
    """Whether the process logs these words within ten seconds."""
    limit = time.monotonic() + 10
    while words not in process.log() and time.monotonic() < limit:
        time.sleep(0.05)
    return words in process.log()
