"""The paid page and its receipt: what a shopper needs to talk to the shop or the bank."""

from __future__ import annotations

import html
import re

import pytest

from tests.http.checks import add_merchant, client_of


def pages(client, payment) -> dict[str, str]:
    """The payment's page and its receipt."""
    own = f"/payments/pix/{payment['id']}"
    return {path: html.unescape(client.get(own + path).text) for path in ("", "/receipt")}


@pytest.fixture
def paid(make_payment, bank):
    """A paid payment with an order."""
    payment = make_payment(order_id="Mesa 7 & café")
    bank.confirm(payment)
    return payment


def test_an_e_mail_to_the_shop_names_the_order(app, client, make_payment, bank, paid):
    """The shop must not search for the order first."""
    support = re.search('href="(mailto:[^"?]+)', pages(client, make_payment(order_id="1"))[""])
    assert support is not None, "the demo merchant answers e-mail"
    link = f'href="{support[1]}?subject=Pedido%20Mesa%207%20%26%20caf%C3%A9"'
    for path, text in pages(client, paid).items():
        assert link in text, path
        assert "Falar com a loja" in text
    other = make_payment()
    bank.confirm(other)
    assert f'{support[1]}?subject=Pagamento%20{other["id"]}"' in pages(client, other)[""]


def test_both_pages_copy_the_id_and_share_the_receipt(client, paid):
    """The bank asks for the id, and the shop for the receipt."""
    for path, text in pages(client, paid).items():
        assert 'data-copy="transaction-id"' in text, path
        assert f'data-share-url="/payments/pix/{paid["id"]}/receipt"' in text, path


@pytest.mark.parametrize(
    ("key", "document"),
    [
        ("52998224725", "CPF de quem recebe ***.982.247-**"),
        ("11222333000181", "CNPJ de quem recebe **.222.333/0001-**"),
        ("charlie@example.com", None),
        ("+5581999999999", None),
    ],
)
def test_a_document_as_pix_key_is_shown_masked(app, client, bank, key, document):
    """As on a bank's receipt; other keys are no document."""
    charlie = client_of(app, add_merchant(app, "charlie", key))
    payment = charlie.post("/payments/pix", json={"value": 1}).json["payment"]
    bank.confirm(payment)
    for path, text in pages(client, payment).items():
        words = " ".join(re.sub("<[^>]+>", " ", text).split())
        assert key not in words, path
        if document is None:
            assert "de quem recebe" not in words
        else:
            assert document in words
