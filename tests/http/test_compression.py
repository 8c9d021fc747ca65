"""Public texts are compressed by the service itself; pages with secrets never are."""

from __future__ import annotations

import gzip
import http.client

import pytest

from benchmarks.cases.compression import compare
from benchmarks.in_process import Service
from core.clock import SystemClock
from tests.support.service import close_app, ready_app, settings_for
from web.compression import BYTES_MIN

LIBRARY = "/static/vendor/socket.io-4.8.4/socket.io.esm.min.js"
GZIP = {"Accept-Encoding": "gzip, deflate, br"}
PUBLIC = {
    *("static", "pages.payment_page", "docs.openapi", "docs.guide", "docs.document"),
    *("docs.error_list", "docs.api", "docs.swagger", "docs.docs_asset"),
    "pix_api_document.openapi",
}


def get(client, path, **headers):
    """The whole answer of the test client, with its file closed."""
    with client.get(path, headers=headers) as answer:
        answer.get_data()
        return answer


def ask(port, path, method="GET", **headers):
    """Send one request over a socket; return the response and its bytes as they were sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, path, headers={"Accept-Encoding": "identity", **headers})
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_a_payment_page_and_its_files_are_compressed_on_the_wire(serve, mode):
    """Shoppers pay for their data, and a small shop has no proxy that compresses."""
    service = serve(ASYNC_MODE=mode)
    paths = (f"/payments/pix/{service.create()['id']}", "/static/css/base.css", LIBRARY, "/docs")
    for path in paths:
        plain, text = ask(service.port, path, Accept="text/html")
        small, data = ask(service.port, path, Accept="text/html", **GZIP)
        assert plain.getheader("Content-Encoding") is None
        assert small.getheader("Content-Encoding") == "gzip"
        assert int(small.getheader("Content-Length")) == len(data) < len(text) / 2
        for answer in (plain, small):
            assert "Accept-Encoding" in answer.getheader("Vary")
        if path != paths[0]:  # a page counts down
            assert gzip.decompress(data) == text
        head, nothing = ask(service.port, path, "HEAD", Accept="text/html", **GZIP)
        assert (head.getheader("Content-Encoding"), nothing) == ("gzip", b"")


@pytest.mark.parametrize("path", ["/static/css/base.css", LIBRARY])
def test_a_tag_fits_both_encodings_and_a_part_is_of_the_plain_text(client, path):
    """A cache must neither load what it has nor join parts of two encodings."""
    tags = {get(client, path, **headers).headers["ETag"] for headers in ({}, GZIP)}
    assert len(tags) == 1
    (tag,) = tags
    assert tag.startswith('W/"')
    for headers in ({}, GZIP):
        again = get(client, path, **headers, **{"If-None-Match": tag})
        assert (again.status_code, again.data) == (304, b"")
        assert (again.headers["ETag"], "Content-Encoding" in again.headers) == (tag, False)
    part = get(client, LIBRARY, **GZIP, Range="bytes=0-9")
    assert (part.status_code, len(part.data)) == (206, 10)
    assert "Content-Encoding" not in part.headers


@pytest.mark.parametrize("accepts", ["", "br", "identity", "gzip;q=0", "*;q=0"])
def test_a_client_that_takes_no_gzip_gets_the_plain_text(client, accepts):
    """Some tools and old proxies cannot read it."""
    answer = client.get("/static/css/base.css", headers={"Accept-Encoding": accepts})
    assert "Content-Encoding" not in answer.headers
    assert ".button" in answer.text


def test_pictures_and_short_texts_are_sent_as_they_are(client, make_payment):
    """Gzip makes both of them longer."""
    paths = ["/static/img/mark.svg", f"/payments/pix/qr_code/{make_payment()['id']}.png"]
    for path in paths:
        answer = get(client, path, **GZIP)
        assert (answer.status_code, answer.headers.get("Content-Encoding")) == (200, None), path


def test_only_public_texts_are_compressed(app, client, make_payment):
    """BREACH: by the sizes of many answers a stranger could read a token out of a page."""
    marked = {
        name for name, view in app.view_functions.items() if getattr(view, "is_public_text", False)
    }
    assert marked == PUBLIC
    for _ in range(5):
        make_payment()
    for path in ("/login", "/signup", "/payments/pix", "/payment/recover-from-qr"):
        answer = get(client, path, Accept="text/html, application/json", **GZIP)
        assert (answer.status_code, len(answer.data) > BYTES_MIN) == (200, True), path
        assert "Content-Encoding" not in answer.headers, path


def test_a_proxy_may_compress_instead(tmp_path, fresh_database, clock):
    """COMPRESSION=none leaves the work to it."""
    settings = settings_for(fresh_database("sqlite"), tmp_path, compression="none")
    app = ready_app(settings, clock)
    try:
        answer = app.test_client().get("/static/css/base.css", headers=GZIP)
        assert "Content-Encoding" not in answer.headers
        assert answer.headers["ETag"].startswith('"')
    finally:
        close_app(app)


def test_the_benchmark_compares_the_page_and_its_files_in_both_encodings(fresh_database, tmp_path):
    """Its figures in the document are of one run; the ratio of the bytes holds on any machine."""
    app = ready_app(settings_for(fresh_database("sqlite"), tmp_path), SystemClock())
    outcomes = compare(Service(app), rounds=1)
    close_app(app)

    assert [outcome.unit for outcome in outcomes] == ["bytes", "ms of CPU", "ms of CPU"] * 2
    for outcome in outcomes[::3]:
        assert 0 < outcome.ours < outcome.bare / 2, outcome.name
        assert outcome.is_met
