"""The documents as pages of the service: /docs, the API by task, errors with cause and remedy."""

from __future__ import annotations

import json
import re
import sys
import threading
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from core.errors import BalcaoError
from tests.support.service import close_app, ready_app, settings_for
from web.docs_pages import anchor_of, document_names, error_help, read_document
from web.docs_routes import error_rows, operations_by_task

PAGES = ["/docs", "/docs/api", "/docs/errors", "/docs/swagger"]


def addresses(text):
    """Every address in a page, without fragments."""
    return {address.partition("#")[0] for address in re.findall(r'(?:src|href)="([^"]+)"', text)}


@pytest.mark.parametrize("path", [*PAGES, *(f"/docs/{name}" for name in document_names())])
def test_every_link_of_a_document_leads_to_a_page_of_this_service(client, path):
    """A dead link is worse than none; nothing that is loaded comes from another host."""
    page = client.get(path)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert not re.search(r"""<(?:script|link|img)[^>]+=["']?(?:https?:)?//""", page.text)
    for address in addresses(page.text) - {""}:
        if urlsplit(address).scheme in ("http", "https"):
            continue
        answer = client.get(urljoin(path, address))
        assert answer.status_code == 200, address
        answer.close()


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_of_the_documents_allow_no_foreign_script(client, path):
    """The policy of every other page holds here too."""
    policy = client.get(path).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_the_examples_show_the_address_of_this_service(settings, clock):
    """A developer pastes an example, and it must reach the service that showed it."""
    elsewhere = settings.model_copy(update={"public_url": "https://pay.example.com"})
    app = ready_app(elsewhere, clock)
    page = app.test_client().get("/docs").text
    close_app(app)
    assert "curl -s https://pay.example.com/payments/pix" in page
    assert "127.0.0.1:5000" not in page


def test_comments_of_the_documents_are_not_shown(client):
    """The marks for the tests of the examples mean nothing to a reader."""
    assert "&lt;!--" not in client.get("/docs").text


def test_every_link_to_a_heading_has_its_heading():
    """The anchors are those of GitHub, so that a link works in both places."""
    for name in document_names():
        for target, anchor in re.findall(
            r'href="/docs/([a-z-]+)#([^"]+)"', read_document(name).body
        ):
            assert f'id="{anchor}"' in read_document(target).body, (name, target, anchor)
    assert anchor_of("The bank's signature") == "the-banks-signature"


def test_a_document_that_does_not_exist_is_not_found(client):
    """Only files of the folder itself are documents, whatever the name says."""
    for name in ("nothing", "..%2fREADME", "decisions", "0001-async-mode", "errors.md"):
        assert client.get(f"/docs/{name}").status_code == 404, name


def test_every_error_code_has_its_cause_and_its_remedy(client):
    """The `type` of an error is a URL that must explain it."""
    page = client.get("/docs/errors").text
    codes = {code for code, _, _ in error_rows()}
    assert {kind.code for kind in BalcaoError.__subclasses__()} & codes
    assert set(error_help()) == codes
    for code in codes:
        assert f'id="{code}"' in page
        cause, remedy = error_help()[code].cause, error_help()[code].remedy
        assert cause.endswith((".", "</a>).")), code
        assert remedy.endswith((".", "</a>).")), code


def test_the_api_is_listed_by_task_with_payments_first(client, app):
    """A developer looks for the creation of a payment, not for /metrics."""
    tasks = operations_by_task(app.api_doc)
    listed = [(o.method, o.path) for operations in tasks.values() for o in operations]
    paths = client.get("/openapi.json").json["paths"]
    assert sorted(listed) == sorted((m.upper(), path) for path, ops in paths.items() for m in ops)
    assert list(tasks)[:2] == ["Payments", "Refunds"]
    assert list(tasks)[-1] == "Machines"
    first = tasks["Payments"][0]
    assert (first.method, first.path) == ("POST", "/payments/pix")


def test_swagger_is_not_loaded_before_somebody_asks(client):
    """It is 2 MB: a phone on a slow line would wait most of a minute for it."""
    page = client.get("/docs/swagger").text
    assert "swagger-ui-bundle.js" in page
    assert not re.search(r"<(?:script|link)[^>]+swagger-ui", page)


def test_an_asset_outside_the_folder_is_not_served(client):
    """However the path is written."""
    names = ("../__init__.py", "..%2f__init__.py", "%2e%2e/__init__.py", "%00", "css", "js/", "")
    for name in names:
        answer = client.get(f"/docs/assets/{name}")
        assert answer.status_code == 404
        assert client.get(f"/static/{name}").status_code == 404


def test_the_document_is_written_once_however_many_ask_first(fresh_database, tmp_path, clock):
    """Two threads wrote into one document, and one of them failed."""
    app: Any = ready_app(settings_for(fresh_database("sqlite"), tmp_path), clock)
    start, documents = threading.Barrier(8), []

    def ask() -> None:
        start.wait(10)
        documents.append(json.dumps(app.api_doc, sort_keys=True))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
        close_app(app)
    assert len(documents) == 8
    assert len(set(documents)) == 1
