"""Reading a payment: a page for people, JSON for programs, errors in the form each understands."""

from __future__ import annotations

import pytest

from tests.http.checks import problem, public_view

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept", [BROWSER, "*/*", "text/html", "text/*", "text/html, application/json;q=0.9", None]
)
def test_a_client_that_does_not_prefer_json_gets_the_page(make_payment, client, accept):
    """A link opened anywhere shows the payment."""
    payment = make_payment(description="Queijo")
    headers = {} if accept is None else {"Accept": accept}
    answer = client.get(f"/payments/pix/{payment['id']}", headers=headers)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert "54,90" in answer.text
    assert payment["pix_code"] in answer.text
    assert "Accept" in answer.headers["Vary"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "accept", ["application/json", "application/json, text/html;q=0.5", "application/*"]
)
def test_a_client_that_prefers_json_gets_the_payment(make_payment, client, accept):
    """Programs use the same address."""
    payment = make_payment()
    answer = client.get(f"/payments/pix/{payment['id']}", headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.json == {"payment": public_view(payment)}
    assert "Accept" in answer.headers["Vary"]


@pytest.mark.parametrize("accept", ["application/json", "*/*", "image/png"])
@pytest.mark.parametrize("path", ["0" * 32, "x", "0" * 31, "A" * 32, "0" * 33])
def test_an_unknown_payment_is_a_404_for_programs(client, accept, path):
    """curl and SDKs send */* and read problem+json."""
    answer = client.get(f"/payments/pix/{path}", headers={"Accept": accept})
    problem(answer, 404, "payment-not-found")


def test_an_unknown_payment_is_a_page_for_people(client):
    """A wrong link must not show JSON to a shopper."""
    answer = client.get(f"/payments/pix/{'0' * 32}", headers={"Accept": BROWSER})
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert answer.headers["X-Request-ID"] in answer.text


def test_the_page_shows_each_final_state(make_payment, bank, client, clock):
    """Confirmed, expired and cancelled pages never offer the code again."""
    paid, cancelled = make_payment(), make_payment()
    bank.confirm(paid)
    client.post(f"/payments/pix/{cancelled['id']}/cancel")
    expired = make_payment(expires_in=10)
    clock.advance(seconds=11)
    for payment in (paid, cancelled, expired):
        page = client.get(f"/payments/pix/{payment['id']}")
        assert page.status_code == 200
        assert payment["pix_code"] not in page.text


def test_text_of_the_merchant_is_escaped_on_the_page(make_payment, client):
    """A description is text, never markup."""
    payment = make_payment(description="<script>alert(1)</script>", order_id="\"'><b>x</b>")
    page = client.get(f"/payments/pix/{payment['id']}").text
    assert "<script>alert" not in page
    assert "<b>x</b>" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_fragment_is_the_state_alone(make_payment, client):
    """The live page inserts the fragment, so it has no head of its own."""
    payment = make_payment()
    fragment = client.get(f"/payments/pix/{payment['id']}?fragment=state").text
    assert "<html" not in fragment
    assert payment["pix_code"] in fragment


def test_the_page_is_in_the_requested_language(make_payment, client):
    """?lang= wins over the browser; any other value is ignored."""
    url = f"/payments/pix/{make_payment()['id']}"
    assert client.get(f"{url}?lang=en").headers["Content-Language"] == "en"
    client.delete_cookie("balcao_language")  # which would remember the choice
    assert client.get(url).headers["Content-Language"] == "pt-BR"
    assert client.get(f"{url}?lang=%0d%0aX: y").headers["Content-Language"] == "pt-BR"
    english = client.get(url, headers={"Accept-Language": "en-GB,en;q=0.9"})
    assert english.headers["Content-Language"] == "en"


@pytest.mark.parametrize(
    ("lang", "suffix"),
    [("en", "?lang=en"), ("pt-BR", "?lang=pt-BR"), ("pt_br", "?lang=pt-BR"), ("fr", ""), ("", "")],
)
def test_links_keep_the_language(make_payment, client, lang, suffix):
    """In any spelling; a language that no page has is dropped."""
    payment = make_payment()
    page = client.get(f"/payments/pix/{payment['id']}?lang={lang}").text
    assert f'/payments/pix/{payment["id"]}/check{suffix}"' in page
