"""The usual payment page is answered before Flask, with the bytes and headers of Flask's page."""

from __future__ import annotations

import gzip
import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs
from werkzeug.test import create_environ, run_wsgi_app

from blueprints.checkout import page_answers
from blueprints.checkout.page_answers import PageAnswers
from config import parts_of
from core.errors import DatabaseUnavailable
from repository.accounts import RecentAccounts
from repository.database import in_unit_of_work, ledger, unit_of_work
from repository.page_rows import find_with_look
from tests.support.looks import HOSTILE, LOOKS
from web.request_counts import REQUESTS

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Accept-Encoding": "gzip, deflate, br"},
    {"Accept-Encoding": "gzip;q=0"},
    {"Accept-Language": "en-US,en;q=0.9"},
    {"Accept-Language": "de, pt;q=0.3", "Accept-Encoding": "*"},
    {"X-Request-ID": "of-the-client", "Range": "bytes=0-9"},
    {"Host": "pay.example:8443"},
)
FOR_FLASK = (
    {"Accept": "application/json"},
    {"Accept": "application/*"},
    {"Cookie": "balcao_language=en"},
    {"Cookie": "balcao_zone=Asia/Tokyo; x=1"},
    {"Cookie": "refresh_token=x"},
    {"Authorization": "Bearer x"},
    {"If-None-Match": "*"},
    {"If-Match": '"x"'},
    {"Upgrade": "websocket", "Connection": "Upgrade"},
    {"Transfer-Encoding": "chunked"},
    {"Host": "a b"},
    {"Host": "x/y"},
)


@pytest.fixture
def pages(app):
    """The middleware of the app."""
    layer = app.wsgi_app
    while not isinstance(layer, PageAnswers):
        layer = getattr(layer, "_application", None) or layer.wsgi_app
    return layer


@pytest.fixture
def by_flask(client, monkeypatch):
    """A function that lets Flask answer a request."""

    def get(url, **more):
        with monkeypatch.context() as patch:
            patch.setattr(page_answers, "_PATH", re.compile("(?!)"))
            return client.get(url, **more)

    return get


@pytest.fixture
def quick_paths(monkeypatch):
    """The requests that were answered before Flask, by their ids."""
    paths = []
    fill = page_answers.PreparedPage.filled

    def note(prepared, page):
        paths.append(page.payment.txid)
        return fill(prepared, page)

    monkeypatch.setattr(page_answers.PreparedPage, "filled", note)
    return paths


def headers_of(answer):
    """The headers, but the date that every server adds, the ids of requests, and until when a
    cookie is kept: a second may end between two answers."""
    return sorted(
        (name, re.sub("Expires=[^;]+", "", value))
        for name, value in answer.headers
        if name not in ("Date", "X-Request-ID")
    )


def assert_same(quick, plain):
    """Compare two answers."""
    assert quick.status == plain.status
    assert quick.data == plain.data
    assert headers_of(quick) == headers_of(plain)


def change_the_shop(app, look):
    """Give the merchant of the payments another look, as all processes know it after a while."""

    def change(work):
        work.accounts.change(work.accounts.by_login("demo").id, look)

    with app.app_context():
        in_unit_of_work(change)
        ledger().recent = RecentAccounts()


@pytest.mark.parametrize("look", LOOKS, ids=("plain", "hostile", "full"))
def test_a_page_is_answered_before_flask_as_by_flask(
    app, client, make_payment, by_flask, quick_paths, look
):
    """In every language and encoding; the first page of a kind is Flask's, the next ones not."""
    change_the_shop(app, look)
    kinds = [
        [make_payment(value=value) for value in ("54.90", "7")],
        [make_payment(order_id=f"{HOSTILE}{number}", description=HOSTILE) for number in (1, 2)],
        [make_payment(description=text) for text in ("€ — ﬁ 🎉" * 8, "x")],
        [make_payment(value=value, expires_in=50) for value in ("9876543.21", "9876543.22")],
        [make_payment(expires_in=seconds) for seconds in (290, 291)],
        [make_payment(expires_in=seconds) for seconds in (86_400, 86_401)],
    ]
    for headers in HEADERS:
        for payments in kinds:
            for payment in payments:
                quick_paths.clear()
                url, sent = f"/payments/pix/{payment['id']}", {**BROWSER, **headers}
                quick = client.get(url, headers=sent)
                was_quick = bool(quick_paths)
                assert_same(quick, by_flask(url, headers=sent))
            assert was_quick
            assert (
                payment["id"]
                in (
                    gzip.decompress(quick.data)
                    if "Content-Encoding" in quick.headers
                    else quick.data
                ).decode()
            )


@pytest.mark.parametrize("headers", FOR_FLASK, ids=repr)
def test_other_requests_go_to_flask(client, make_payment, by_flask, quick_paths, headers):
    """Their answers have other headers, or another form."""
    urls = [f"/payments/pix/{make_payment()['id']}" for _ in range(2)]
    for url in urls:
        client.get(url, headers=BROWSER)
    assert len(quick_paths) == 2, "one is checked when it is prepared, and one is sent"
    quick_paths.clear()
    sent = {**BROWSER, **headers}
    for cookie in filter(None, sent.pop("Cookie", "").split("; ")):
        client.set_cookie(*cookie.split("="))
    quick, plain = client.get(urls[0], headers=sent), by_flask(urls[0], headers=sent)
    assert quick_paths == []
    assert (quick.status, quick.mimetype) == (plain.status, plain.mimetype)
    if quick.status_code == 200 and quick.mimetype == "text/html":
        assert_same(quick, plain)


def test_a_page_asked_for_with_a_body_or_by_another_method_goes_to_flask(
    client, make_payment, quick_paths
):
    """Flask bounds bodies, and answers HEAD without one."""
    url = f"/payments/pix/{make_payment()['id']}"
    for _ in range(2):
        client.get(url, headers=BROWSER)
    quick_paths.clear()
    assert client.get(url, headers=BROWSER, data=b"12345").status_code == 200
    assert client.get(url, headers=BROWSER, data=b"x" * 2_000_000).status_code == 413
    assert client.head(url, headers=BROWSER).data == b""
    assert client.post(url, headers=BROWSER).status_code == 405
    assert quick_paths == []


@pytest.mark.parametrize("query", ["?lang=en", "?fragment=state", "?checked=no-answer", "?x=1"])
def test_a_query_goes_to_flask(client, make_payment, by_flask, quick_paths, query):
    """A choice of language sets a cookie."""
    url = f"/payments/pix/{make_payment()['id']}"
    for _ in range(2):
        client.get(url, headers=BROWSER)
    quick_paths.clear()
    quick = client.get(f"{url}{query}", headers=BROWSER)
    assert quick_paths == []
    client.delete_cookie("balcao_language")
    assert_same(quick, by_flask(f"{url}{query}", headers=BROWSER))


def test_payments_in_another_state_go_to_flask(
    client, make_payment, by_flask, bank, clock, quick_paths
):
    """A page that waited must not be shown for a payment that was paid, expired or cancelled."""
    paid, cancelled, expired, usual = (make_payment(expires_in=60) for _ in range(4))
    for payment in (paid, cancelled, expired, usual):
        client.get(f"/payments/pix/{payment['id']}", headers=BROWSER)
    assert len(quick_paths) == 4
    bank.confirm(paid)
    client.post(f"/payments/pix/{cancelled['id']}/cancel")
    clock.advance(seconds=61)
    quick_paths.clear()
    for payment, state in ((paid, "confirmed"), (cancelled, "cancelled"), (expired, "expired")):
        url = f"/payments/pix/{payment['id']}"
        quick = client.get(url, headers=BROWSER)
        assert f'data-page="{state}"' in quick.text
        assert_same(quick, by_flask(url, headers=BROWSER))
    assert quick_paths == []


def test_special_terms_go_to_flask(app, client, make_payment, by_flask, quick_paths):
    """A revised or moved charge has another text, or another address of its picture."""
    changes: tuple[dict[str, Any], ...] = (
        {"location_token": "a" * 32},
        {"has_location": False},
        {"payer_sets_amount": True},
        {"refusal": "amount-mismatch"},
        {"charge_terms": {"original": 5490}},
    )
    payments = [make_payment() for _ in changes]
    for payment in payments:
        client.get(f"/payments/pix/{payment['id']}", headers=BROWSER)
    quick_paths.clear()
    for payment, values in zip(payments, changes, strict=True):
        with app.app_context(), unit_of_work() as work:
            row = work.payments.by_txid(payment["id"])
            assert work.payments.change(row, ("pending",), values)
        url = f"/payments/pix/{payment['id']}"
        assert_same(client.get(url, headers=BROWSER), by_flask(url, headers=BROWSER))
    assert quick_paths == []


def test_a_deadline_after_tomorrow_goes_to_flask(client, make_payment, quick_paths):
    """Its page names the day."""
    for seconds in (200_000, 172_799, 172_800):
        url = f"/payments/pix/{make_payment(expires_in=seconds)['id']}"
        for _ in range(2):
            assert client.get(url, headers=BROWSER).status_code == 200
    assert quick_paths == []


def test_each_second_of_a_countdown_is_that_of_flask(
    client, make_payment, by_flask, clock, quick_paths
):
    """Also at the edges where the page changes: five minutes, one minute, the end, midnight."""
    urls = [f"/payments/pix/{make_payment(expires_in=302)['id']}" for _ in range(2)]
    for step in (0, 1.5, 0.5, 0.001, 238, 1.999, 0.001, 0.001, 59.9, 0.098, 0.001, 0.001, 1):
        clock.advance(seconds=step)
        for url in (urls[0], urls[1], urls[0]):
            assert_same(client.get(url, headers=BROWSER), by_flask(url, headers=BROWSER))
    assert len(quick_paths) > 12


def test_the_day_of_a_deadline_changes_at_midnight(
    app, client, make_payment, by_flask, clock, quick_paths
):
    """The page says *amanhã* before the midnight of São Paulo, and the time alone after it."""
    until_midnight = timedelta(hours=27) - timedelta(
        hours=clock.now().hour, minutes=clock.now().minute, seconds=clock.now().second
    )
    clock.advance(seconds=until_midnight.total_seconds() % 86_400 - 2)
    urls = [f"/payments/pix/{make_payment(expires_in=600)['id']}" for _ in range(2)]
    texts = []
    for step in (0, 1.999, 0.002):
        clock.advance(seconds=step)
        for url in urls * 2:
            quick = client.get(url, headers=BROWSER)
            assert_same(quick, by_flask(url, headers=BROWSER))
        texts.append("amanhã às <time" in quick.text)
    assert texts == [True, True, False]
    assert quick_paths


def test_a_new_look_is_shown_at_once(app, client, make_payment, by_flask, quick_paths):
    """The look is read with the payment; Flask's own page may have it from a cache."""
    urls = [f"/payments/pix/{make_payment()['id']}" for _ in range(2)]
    for url in urls:
        client.get(url, headers=BROWSER)
    change_the_shop(app, {"name": "Outro nome"})
    for url in urls * 2:
        quick = client.get(url, headers=BROWSER)
        assert "Outro nome" in quick.text
        assert_same(quick, by_flask(url, headers=BROWSER))
    assert len(quick_paths) > 2


def test_a_page_that_flask_drew_from_a_cache_is_not_prepared(
    app, client, make_payment, pages, monkeypatch
):
    """It has the old look, and would be shown for the new one for good."""
    url = f"/payments/pix/{make_payment()['id']}"
    client.get(f"{url}?x=1", headers=BROWSER)  # puts the merchant into the cache
    recent = parts_of(app).ledger.recent
    change_the_shop(app, {"name": "Outro nome"})
    monkeypatch.setattr(parts_of(app).ledger, "recent", recent)
    assert "Outro nome" not in client.get(url, headers=BROWSER).text
    assert len(pages.pages) == 0


def test_a_template_that_shows_something_else_is_left_to_flask(
    client, make_payment, pages, monkeypatch
):
    """A new value on the page must be thought of in this module."""
    monkeypatch.setattr(page_answers, "_OF_THE_LOOK", frozenset({"initials"}))
    for _ in range(2):
        assert client.get(f"/payments/pix/{make_payment()['id']}", headers=BROWSER).text
    assert len(pages.pages) == 0


def test_pages_are_logged_and_counted(client, make_payment, quick_paths):
    """As those of Flask, with the id of the request."""
    urls = [f"/payments/pix/{make_payment()['id']}" for _ in range(2)]
    client.get(urls[0], headers=BROWSER)
    quick_paths.clear()
    with capture_logs() as lines:
        answer = client.get(urls[1], headers={**BROWSER, "X-Request-ID": "of-the-client"})
    assert len(quick_paths) == 1
    assert answer.headers["X-Request-ID"] == "of-the-client"
    (line,) = [one for one in lines if one["event"] == "request"]
    assert line.pop("ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "path": urls[1],
        "status": 200,
        "request_id": "of-the-client",
    }
    (count,) = [
        line
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("balcao_http_request_seconds_count")
        and 'route="/payments/pix/<string:payment_id>"' in line
    ]
    assert count.endswith(" 2.0")


def test_pages_count_in_the_bound_of_requests(app, client, make_payment, quick_paths):
    """Flask refuses those beyond it."""
    url = f"/payments/pix/{make_payment()['id']}"
    for _ in range(2):
        client.get(url, headers=BROWSER)
    counts, most = parts_of(app).request_counts, app.config["BALCAO"].requests_per_minute
    while counts.take_if_free(REQUESTS, "127.0.0.1", most - 1):
        pass
    quick_paths.clear()
    assert client.get(url, headers=BROWSER).status_code == 200
    assert client.get(url, headers=BROWSER).status_code == 429
    assert len(quick_paths) == 1


def test_an_unknown_payment_and_a_lost_database_are_read_once(client, monkeypatch):
    """Flask answers what was read below it."""
    reads = []

    def lose(_ledger, txid):
        reads.append(txid)
        raise DatabaseUnavailable

    url = f"/payments/pix/{'0' * 32}"
    monkeypatch.setattr(page_answers, "find_with_look", partial(_note, reads))
    assert client.get(url, headers=BROWSER).status_code == 404
    monkeypatch.setattr(page_answers, "find_with_look", lose)
    assert client.get(url, headers=BROWSER).status_code == 503
    assert reads == ["0" * 32] * 2


def _note(reads, ledger_, txid):
    reads.append(txid)
    return find_with_look(ledger_, txid)


def test_prepared_pages_are_bounded(client, make_payment, pages):
    """Merchants and clients choose the kinds; a page that was dropped is prepared again."""
    pages.pages._most = 2
    for value in ("1", "9876543.21"):
        for language in ("pt", "en"):
            url = f"/payments/pix/{make_payment(value=value)['id']}"
            assert client.get(url, headers={**BROWSER, "Accept-Language": language}).text
    assert len(pages.pages) == 2


def test_a_page_without_time_left_is_no_model_for_others(client, by_flask, make_payment, clock):
    """Its time is 0, for which a pattern has no mark: later pages would say 0 too."""
    at_its_end = make_payment(expires_in=60)
    clock.advance(seconds=60)
    assert b'data-remaining-ms="0"' in client.get(path_of(at_its_end), headers=BROWSER).data
    later = make_payment(expires_in=60)
    for seconds in (1, 29):
        clock.advance(seconds=seconds)
        for _ in range(2):
            quick = client.get(path_of(later), headers=BROWSER)
            assert b'data-remaining-ms="0"' not in quick.data
            assert_same(quick, by_flask(path_of(later), headers=BROWSER))


def path_of(payment):
    """The path of the payment's page."""
    return f"/payments/pix/{payment['id']}"


@pytest.mark.parametrize("host", ["..", "a..b", ".a", "a" * 64, "xn--a", "XN--", "a.xn--b:80"])
def test_a_host_that_flask_must_judge_goes_to_flask(app, monkeypatch, make_payment, host):
    """Some are refused; none is a 500."""

    def get():
        environ = create_environ(path_of(payment), headers=BROWSER)  # which would decode the host
        environ |= {"HTTP_HOST": host, "HTTP_X_REQUEST_ID": "same"}  # the page of an error shows it
        body, status, headers = run_wsgi_app(app, environ, buffered=True)
        return status, b"".join(body), sorted(one for one in headers if one[0] != "Date")

    payment = make_payment()
    for _ in range(2):
        app.test_client().get(path_of(payment), headers=BROWSER)
    quick = get()
    assert quick[0] in ("200 OK", "400 BAD REQUEST")
    monkeypatch.setattr(page_answers, "_PATH", re.compile("(?!)"))
    assert quick == get()
