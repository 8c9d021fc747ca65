"""The browser of the tests: axe works under the strictest policy, and no request leaves."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Error

from tests.support.browser import axe_violations

POLICY = "default-src 'none'; script-src 'self'"
FAULTY = """<!doctype html><html><head><title>Balcão</title>
<script>document.title = "inline script ran"</script></head>
<body><main><h1>Pagar</h1><img src="/qr.png"><input type="text"></main></body></html>"""
SOUND = """<!doctype html><html lang="pt-BR"><head><title>Balcão</title></head>
<body><main><h1>Pagar</h1><label>Valor <input type="text"></label></main></body></html>"""


class Pages(BaseHTTPRequestHandler):
    """Two pages under a policy that allows neither inline scripts nor eval."""

    def do_GET(self):
        """Answer with the page that the path names."""
        page = {"/faulty": FAULTY, "/sound": SOUND}.get(self.path)
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write((page or "").encode())

    def log_message(self, format, *args):
        """Write no access log."""


@pytest.fixture
def address():
    """The address of the two pages."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("scripts", [True, False], ids=["javascript", "no-javascript"])
def test_axe_finds_faults_on_a_page_whose_policy_forbids_inline_and_eval(
    new_context, address, scripts
):
    """Every page of the product has such a policy, and axe must work in spite of it."""
    page = new_context(java_script_enabled=scripts).new_page()
    page.goto(f"{address}/faulty")
    assert page.title() == "Balcão", "the policy was in force: the inline script did not run"
    violations = {violation.rule: violation for violation in axe_violations(page)}
    assert {"html-has-lang", "image-alt", "label"} <= violations.keys()
    assert violations["image-alt"].elements == ('<img src="/qr.png">',)


def test_axe_finds_nothing_on_an_accessible_page_and_takes_options(page, address):
    """A page must be able to pass, also when it is checked twice."""
    page.goto(f"{address}/sound")
    assert axe_violations(page) == []
    assert axe_violations(page, runOnly=["html-has-lang"]) == []


def test_axe_checks_the_document_that_is_loaded_now(page, address):
    """axe stays in the page between checks; it must not report on an earlier document."""
    page.goto(f"{address}/sound")
    assert axe_violations(page) == []
    page.evaluate("document.querySelector('h1').insertAdjacentHTML('afterend', '<img src=/a>')")
    assert [violation.rule for violation in axe_violations(page)] == ["image-alt"]
    page.goto(f"{address}/faulty")
    assert {"html-has-lang", "image-alt"} <= {violation.rule for violation in axe_violations(page)}
    page.goto(f"{address}/sound")
    assert axe_violations(page) == []


def test_axe_skips_only_excluded_elements(page, address):
    """A library's elements are excluded; the same fault elsewhere is found."""
    page.goto(f"{address}/faulty")
    violations = {violation.rule for violation in axe_violations(page, exclude="main > *")}
    assert violations == {"html-has-lang"}


def test_the_browser_cannot_reach_the_internet(page):
    """A page that needs another host must fail its test on every machine."""
    with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
        page.goto("http://example.com/")


def test_the_browser_has_the_language_and_zone_of_sao_paulo(page, address):
    """Dates and language on the page depend on both."""
    page.goto(f"{address}/sound")
    zone = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
    assert (page.evaluate("navigator.language"), zone) == ("pt-BR", "America/Sao_Paulo")
