"""QR pictures: drawn on request, cacheable for ever, and never a path in the file system."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from core.errors import DatabaseUnavailable
from core.pix import br_code
from payments import qr_answers, qr_routes
from tests.http.checks import problem
from tests.support.scanner import QR_CODES

STATIC = Path(__file__).resolve().parents[2] / "static"
FOR_EVER = "public, max-age=31536000, immutable"


def scan(png):
    """The text that a scanner reads in the picture."""
    (barcode,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(png)).convert("L"), formats=QR_CODES)
    return barcode.text


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("{qr_code}", "image/png"),
        ("{qr_code}.png", "image/png"),
        ("{qr_code}.svg", "image/svg+xml"),
        ("{id}", "image/png"),
        ("{id}.svg", "image/svg+xml"),
    ],
)
def test_each_name_gives_its_kind_of_picture(make_payment, client, name, kind):
    """The name as the payment object has it, with or without a suffix."""
    payment = make_payment()
    answer = client.get(f"/payments/pix/qr_code/{name.format(**payment)}")
    assert (answer.status_code, answer.mimetype) == (200, kind)
    assert answer.headers["Cache-Control"] == FOR_EVER
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if kind == "image/png":
        assert scan(answer.data) == payment["pix_code"]


def test_the_address_in_the_payment_object_is_the_picture(make_payment, client):
    """Clients use this address unchanged."""
    payment = make_payment()
    path = payment["qr_code_url"].removeprefix("http://127.0.0.1:5000")
    assert scan(client.get(path).data) == payment["pix_code"]


@pytest.mark.parametrize("suffix", ["", ".png", ".svg"])
def test_the_same_picture_again_is_a_304(make_payment, client, suffix):
    """It never changes, so it is sent once."""
    url = f"/payments/pix/qr_code/{make_payment()['qr_code']}{suffix}"
    first = client.get(url)
    again = client.get(url, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == FOR_EVER
    assert client.get(url).data == first.data


def test_a_payment_that_was_paid_still_has_its_picture(make_payment, client, bank):
    """A cached page must not show a broken image."""
    payment = make_payment()
    bank.confirm(payment)
    assert client.get(f"/payments/pix/qr_code/{payment['qr_code']}.png").status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "qr_code_payment_",
        "qr_code_payment_" + "0" * 32,
        "qr_code_payment_" + "0" * 32 + ".png",
        "{qr_code}.gif",
        "{qr_code}.png.svg",
        "{qr_code}.PNG",
        "{qr_code}%0a",
        "{qr_code}.png%00",
        "{qr_code}%20",
        "{qr_code}/",
        "./{qr_code}",
        "x/../{qr_code}",
        "{qr_code}%2f..%2f..%2fapp.py",
        "../../app.py",
        "..%2f..%2fapp.py",
        "%2e%2e/%2e%2e/app.py",
        "%2e%2e%2f%2e%2e%2fapp.py",
        "..%5c..%5capp.py",
        "..%252f..%252fapp.py",
        "%c0%ae%c0%ae%c0%afapp.py",
        "%ff%fe",
        "....//....//app.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "file:%2f%2f%2fetc%2fpasswd",
        "C:%5cwindows",
        "%00",
        "qr_code_payment_%00",
        "{qr_code}'%20OR%201=1--",
        "x" * 4000,
    ],
)
def test_every_other_name_is_a_404(make_payment, client, name):
    """The described systems served files by name; here a name contains only an id."""
    payment = make_payment()
    answer = client.get(f"/payments/pix/qr_code/{name.format(**payment)}", follow_redirects=True)
    problem(answer, 404)


def test_nothing_is_written_into_static(make_payment, client):
    """The described systems wrote a file for each payment and filled the disk."""
    before = sorted(STATIC.rglob("*"))
    payment = make_payment()
    for suffix in (".png", ".svg"):
        client.get(f"/payments/pix/qr_code/{payment['qr_code']}{suffix}")
    assert sorted(STATIC.rglob("*")) == before


def test_a_merchants_static_code_names_its_key_and_leaves_the_amount_open(client):
    """For the sticker beside the till."""
    answer = client.get("/generate_qr/demo")
    assert (answer.status_code, answer.mimetype) == (200, "image/png")
    code = br_code.decode(scan(answer.data), strict=True)
    assert code.key == "123e4567-e12b-12d1-a456-426655440000"
    assert code.amount_centavos is None
    assert code.merchant_name.casefold() == "feira da vila"


@pytest.mark.parametrize(
    ("value", "centavos"), [("10", 1000), ("10.5", 1050), ("0.01", 1), ("1e2", 10_000)]
)
def test_a_value_fixes_the_amount(client, value, centavos):
    """The same forms of money as everywhere."""
    answer = client.get(f"/generate_qr/demo?value={value}")
    assert br_code.decode(scan(answer.data), strict=True).amount_centavos == centavos


@pytest.mark.parametrize(
    "value", ["", "0", "-1", "0.001", "NaN", "Infinity", "1e400", "10000000000", "x", "1,5", "true"]
)
def test_a_value_that_is_no_amount_is_refused(client, value):
    """The error names the field."""
    refusal = problem(client.get(f"/generate_qr/demo?value={value}"), 400, "invalid-request")
    assert refusal["errors"][0]["field"] == "value"


@pytest.mark.parametrize("login", ["nobody", "x" * 65, "%00", "a b", "' OR 1", "d%C3%A9mo"])
def test_an_unknown_merchant_has_no_code(client, login):
    """An accent makes another login."""
    problem(client.get(f"/generate_qr/{login}"), 404)


def test_the_login_of_a_static_code_may_have_capitals(client):
    """Logins have one spelling at every door; phones begin them with a capital."""
    codes = [client.get(f"/generate_qr/{login}") for login in ("demo", "DEMO", "Demo%20")]
    assert [code.status_code for code in codes] == [200, 200, 200]
    assert codes[0].data == codes[1].data == codes[2].data


def test_the_receipts_own_picture_leads_to_the_receipt(make_payment, client, bank):
    """The QR on a printed receipt opens the receipt again."""
    payment = make_payment()
    bank.confirm(payment)
    answer = client.get(f"/payments/pix/{payment['id']}/receipt/qr.svg")
    assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")
    for unknown in ("0" * 32, "x"):
        problem(client.get(f"/payments/pix/{unknown}/receipt/qr.svg"), 404, "payment-not-found")


@pytest.mark.parametrize("query", ["", "?v=12345678", "?v=", "?v=a&w=b", "?lang=en"])
@pytest.mark.parametrize("suffix", ["", ".png", ".svg"])
def test_a_picture_is_answered_before_flask_as_by_flask(
    make_payment, client, monkeypatch, suffix, query
):
    """The headers, too, but the request's id, and the date that every server adds."""
    url = f"/payments/pix/qr_code/{make_payment()['qr_code']}{suffix}{query}"
    quick = client.get(url)
    monkeypatch.setattr(qr_answers, "_PATH", re.compile("(?!)"))
    plain = client.get(url)
    assert (quick.status, quick.data) == (plain.status, plain.data)
    either = ("X-Request-ID", "Date")
    lists = [
        sorted((name, value) for name, value in answer.headers if name not in either)
        for answer in (quick, plain)
    ]
    assert lists[0] == lists[1]


def test_pictures_count_in_the_metrics(make_payment, client):
    """As the answers of Flask do."""
    client.get(f"/payments/pix/qr_code/{make_payment()['qr_code']}.svg")
    counts = [
        line
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("balcao_http_request_seconds_count") and "qr_code" in line
    ]
    assert [line.rsplit(" ", 1)[1] for line in counts] == ["1.0"]


def test_an_unknown_payment_and_a_lost_database_are_read_once(client, monkeypatch):
    """Flask answers by what was read before it."""
    reads = []

    def lose(_ledger, txid):
        reads.append(txid)
        raise DatabaseUnavailable

    url = f"/payments/pix/qr_code/{'0' * 32}.svg"
    monkeypatch.setattr(qr_routes, "find_code", lambda _ledger, txid: reads.append(txid))
    problem(client.get(url), 404)
    monkeypatch.setattr(qr_routes, "find_code", lose)
    problem(client.get(url), 503)
    assert reads == ["0" * 32] * 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Upgrade": "websocket", "Connection": "Upgrade"},
        {"If-Match": '"other"'},
        {"If-None-Match": "*"},
        {"Range": "bytes=0-9"},
    ],
)
def test_a_picture_asked_for_in_another_way_is_answered_as_by_flask(
    make_payment, client, monkeypatch, headers
):
    """No picture is sent to a client that wants a websocket, or another version of it."""
    url = f"/payments/pix/qr_code/{make_payment()['qr_code']}.svg"
    sent = {**headers, "X-Request-ID": "same"}
    quick = client.get(url, headers=sent)
    monkeypatch.setattr(qr_answers, "_PATH", re.compile("(?!)"))
    plain = client.get(url, headers=sent)
    assert (quick.status, quick.data) == (plain.status, plain.data)
    assert without_date(quick) == without_date(plain)
    assert (quick.status_code == 400) is ("Upgrade" in headers)


def without_date(answer):
    """The headers; for answers of Flask the server adds `Date`."""
    return sorted(header for header in answer.headers if header[0] != "Date")
