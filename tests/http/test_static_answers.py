"""Static files that are answered before Flask: the same answers, bounds and figures."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from benchmarks.in_process import BROWSER, environ, send
from tests.support.service import close_app, ready_app, settings_for
from web import script_modules, static_answers
from web.pages import forget_static_files

STATIC = Path(__file__).resolve().parents[2] / "static"
FILES = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())
CHANGING = ("X-Request-ID", "Date")


def answer_of(app, name, method="GET", **headers):
    """Status, headers without those of the request, and body."""
    answer = send(app, environ(method, f"/static/{name}", {**BROWSER, **headers}))
    pairs = sorted((key, "" if key in CHANGING else value) for key, value in answer.headers)
    return answer.status, pairs, answer.body


def compare(app, monkeypatch, *request, **headers):
    """The answer to a request, after it was compared with Flask's own."""
    below = answer_of(app, *request, **headers)
    with monkeypatch.context() as patch:
        patch.setattr(static_answers, "_PATH", re.compile("(?!)"))
        assert answer_of(app, *request, **headers) == below, (request, headers)
    return below


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_each_file_is_answered_as_flask_answers_it(
    tmp_path, fresh_database, clock, monkeypatch, compression
):
    """Both methods, both encodings, with and without a digest, with the tag and with another."""
    settings = settings_for(fresh_database("sqlite"), tmp_path, compression=compression)
    app = ready_app(settings, clock)
    try:
        for name in FILES:
            own = f"?v={script_modules.digest_of(name)}"
            for query, accepts in (
                ("", "gzip, br"),
                (own, "gzip"),
                (own, "identity"),
                ("?v=1", ""),
            ):
                encoding = {"HTTP_ACCEPT_ENCODING": accepts}
                status, headers, _ = compare(app, monkeypatch, name + query, **encoding)
                assert status == 200, name
                assert compare(app, monkeypatch, name + query, "HEAD", **encoding)[2] == b""
                strong = dict(headers)["ETag"].removeprefix("W/")
                for tag, expected in (("W/" + strong, 304), (strong, 304), ('"other"', 200)):
                    conditional = {**encoding, "HTTP_IF_NONE_MATCH": tag}
                    assert compare(app, monkeypatch, name + query, **conditional)[0] == expected
    finally:
        close_app(app)


@pytest.mark.parametrize(
    ("name", "method", "headers", "status"),
    [
        ("css/base.css", "GET", {"HTTP_IF_NONE_MATCH": '"a", "b"'}, 200),
        ("css/base.css", "GET", {"HTTP_IF_NONE_MATCH": "*"}, 304),
        ("img/mark.svg", "GET", {"HTTP_RANGE": "bytes=0-9"}, 206),
        ("css/base.css", "GET", {"HTTP_IF_MATCH": '"other"'}, 412),
        ("css/base.css?v=1&v=2", "GET", {}, 200),
        ("css/base.css", "POST", {}, 405),
        ("css/base.css", "OPTIONS", {}, 200),
        ("css/none.css", "GET", {}, 404),
        ("css", "GET", {}, 404),
        ("css/../css/base.css", "GET", {}, 200),
        ("../app.py", "GET", {}, 404),
    ],
)
def test_everything_else_goes_to_flask(app, name, method, headers, status):
    """Parts, lists of tags, other spellings, other methods and files that do not exist."""
    assert answer_of(app, name, method, **headers)[0] == status


def test_a_change_of_a_file_is_served_at_once(app, tmp_path, monkeypatch):
    """Of a style sheet, and of a module for all that import it, also through another."""
    folder = tmp_path / "static"
    shutil.copytree(STATIC, folder)
    monkeypatch.setattr(script_modules, "STATIC", folder)
    monkeypatch.setattr(static_answers, "STATIC", folder)
    monkeypatch.setattr(app, "static_folder", str(folder))
    names = ("css/base.css", "js/poller.js", "js/checkout/checkout.js", "js/copy_code.js")
    before = {name: answer_of(app, name)[2] for name in names}
    digests = {name: script_modules.digest_of(name) for name in names}
    for name in names[:2]:
        path = folder / name
        path.write_text(path.read_text("utf-8") + "\n\n", "utf-8")
        os.utime(path, ns=(1, 1))
    forget_static_files()
    new = {name for name in names if answer_of(app, name)[2] != before[name]}
    assert new == set(names[:3])
    assert {name for name in names if script_modules.digest_of(name) != digests[name]} == new
    (folder / "css/base.css").unlink()
    assert answer_of(app, "css/base.css")[0] == 404
    forget_static_files()


def test_files_count_in_the_bound_and_in_the_metrics(tmp_path, fresh_database, clock):
    """Behind a proxy each client has a bound of its own; Flask refuses what is beyond it."""
    settings = settings_for(
        fresh_database("sqlite"), tmp_path, requests_per_minute=5, trusted_proxies=1
    )
    app = ready_app(settings, clock)
    try:
        for client in ("203.0.113.1", "203.0.113.2"):
            proxy = {"HTTP_X_FORWARDED_FOR": client}
            statuses = [answer_of(app, "js/poller.js", **proxy)[0] for _ in range(6)]
            assert statuses == [200] * 5 + [429]
        text = app.extensions["balcao"].metrics.text().decode()
        series = 'method="GET",route="/static/<path:filename>",status="200"} 10.0'
        assert f"balcao_http_request_seconds_count{{{series}" in text
    finally:
        close_app(app)


def test_the_id_of_the_request_comes_back(client):
    """As with every answer."""
    answer = client.get("/static/css/base.css", headers={"X-Request-ID": "shop-1"})
    assert answer.headers["X-Request-ID"] == "shop-1"
    assert answer.headers["Date"]
