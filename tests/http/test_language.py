"""The language that a person chose is remembered, by a cookie that names nothing else."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from web.problems import RECOVER_PATH

COOKIE = "balcao_language"
PAGE = RECOVER_PATH
PORTUGUESE = {"Accept": "text/html", "Accept-Language": "pt-BR"}


def language(client, path=PAGE, **headers):
    """The language of a page."""
    answer = client.get(path, headers={**PORTUGUESE, **headers})
    assert answer.status_code == 200
    return answer.headers["Content-Language"]


def test_the_chosen_language_stays_on_pages_that_do_not_name_it(client):
    """A link in an e-mail or on a poster has no `?lang=`."""
    assert language(client) == "pt-BR"
    assert language(client, f"{PAGE}?lang=en") == "en"
    assert language(client) == "en"
    assert 'href="?lang=pt-BR"' in client.get(PAGE, headers=PORTUGUESE).text
    assert language(client, f"{PAGE}?lang=pt") == "pt-BR"
    assert language(client, **{"Accept-Language": "en"}) == "pt-BR"


@pytest.mark.parametrize("value", ["fr", "EN", "", "en; x", "x" * 4000])
def test_a_cookie_that_names_no_language_of_ours_counts_for_nothing(client, value):
    """Anybody can put anything into a cookie."""
    client.set_cookie(COOKIE, value)
    assert language(client) == "pt-BR"


def test_the_cookie_is_set_only_by_a_choice_on_a_page(client, make_payment):
    """Programs and first visits need none, and a repeated choice sends none again."""
    payment = make_payment()["id"]
    first = client.get(f"{PAGE}?lang=en", headers=PORTUGUESE)
    cookie = first.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=en;")
    for part in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=31536000"):
        assert part in cookie
    assert first.headers["Vary"] == "Accept, Accept-Language, Cookie"
    assert "Set-Cookie" not in client.get(f"{PAGE}?lang=en", headers=PORTUGUESE).headers
    client.delete_cookie(COOKIE)
    assert "Set-Cookie" not in client.get(f"{PAGE}?lang=fr", headers=PORTUGUESE).headers
    assert "Set-Cookie" not in client.get(PAGE, headers=PORTUGUESE).headers
    program = client.get(f"/payments/pix/{payment}?lang=en", headers={"Accept": "application/json"})
    assert "Set-Cookie" not in program.headers


def test_the_link_to_a_bank_on_another_host_carries_the_choice(client, make_payment, settings):
    """The bank does not get a cookie of this host; on the same host the cookie is enough."""
    page = f"/payments/pix/{make_payment()['id']}"

    def language_of_link(host):
        text = client.get(page, headers=PORTUGUESE, base_url=f"http://{host}").text
        (link,) = re.findall(r'href="([^"]*/pay\?code=[^"]*scenario=normal)"', text)
        return parse_qs(urlsplit(unescape(link)).query).get("lang")

    bank_host = urlsplit(settings.bank_url).hostname
    assert language_of_link("shop.example") is None
    for host in (bank_host, "shop.example"):
        client.get(f"{page}?lang=en", headers=PORTUGUESE, base_url=f"http://{host}")
    assert language_of_link("shop.example") == ["en"]
    assert language_of_link(bank_host) is None
