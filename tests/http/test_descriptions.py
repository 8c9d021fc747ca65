"""Pages that strangers are sent to have a description, in the language of the page."""

from __future__ import annotations

import re

import pytest

from web.problems import RECOVER_PATH


def description(client, path, language="pt-BR"):
    """The text of the page's only description."""
    answer = client.get(path, headers={"Accept": "text/html", "Accept-Language": language})
    assert answer.status_code == 200
    (text,) = re.findall(r'<meta name="description" content="([^"]*)">', answer.text)
    return text


@pytest.mark.parametrize("path", ["/login", "/signup", "/forgot", RECOVER_PATH])
def test_a_page_for_strangers_says_what_it_is_for(client, path):
    """A messenger shows this sentence under a link; without it, a piece of the page's menu."""
    portuguese, english = description(client, path), description(client, path, "en")
    assert portuguese
    assert english
    assert portuguese != english


def test_a_payment_page_describes_amount_and_payee_in_every_state(client, make_payment, bank):
    """The sentence stays true when the link is opened after the payment."""
    payment = make_payment(value="54.90")
    path = f"/payments/pix/{payment['id']}"
    before = description(client, path)
    assert re.fullmatch(r"Pix de R\$\s54,90 para .+", before)
    assert bank.confirm(payment).status_code == 200
    assert description(client, path) == before
