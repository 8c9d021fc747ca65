"""Sentences translated when a template is compiled read as those translated when it is drawn."""

from __future__ import annotations

import pytest

from web import page_templates

BROWSER = {"Accept": "text/html"}


@pytest.fixture
def texts(make_payment, client, clock, bank):
    """The page of each state, with its receipt where there is one: texts(language)."""
    waiting = make_payment(order_id="A & B", expires_in=86_400)
    paid = make_payment(order_id="paid")
    bank.confirm(paid)
    cancelled, late = make_payment(), make_payment(expires_in=60)
    client.post(f"/payments/pix/{cancelled['id']}/cancel")
    clock.advance(seconds=61)
    bank.confirm(late)
    paths = [f"/payments/pix/{payment['id']}" for payment in (waiting, paid, cancelled, late)]
    paths.append(f"{paths[1]}/receipt")

    def read(language):
        return [client.get(f"{path}?lang={language}", headers=BROWSER).text for path in paths]

    return read


@pytest.mark.parametrize(
    ("language", "title"), [("pt-BR", "Pague com Pix"), ("en", "Pay with Pix")]
)
def test_pages_read_the_same_however_their_sentences_are_translated(
    texts, monkeypatch, language, title
):
    """Both languages after each other, because each has compiled templates of its own."""
    quick = texts(language)
    monkeypatch.setattr("blueprints.checkout.page_routes.page_template", lambda name: name)
    assert texts(language) == quick
    assert title in quick[0]


@pytest.mark.parametrize(
    ("sentence", "translation", "written"),
    [
        ("_('Pago')", "Pago", '("Pago"|safe)'),
        ('_("50%% pagos")', "50%% paid", '("50% paid"|safe)'),
        ('_("Nome")', 'The "name" \\ title', '("The \\"name\\" \\\\ title"|safe)'),
        ('_("Pago", amount=1)', "", '_("Pago", amount=1)'),
        ("N_('Pago')", "", "N_('Pago')"),
    ],
)
def test_a_sentence_without_values_becomes_a_constant(monkeypatch, sentence, translation, written):
    """A translator's quotation mark or percent sign must not break a template."""
    monkeypatch.setattr(page_templates, "translate", lambda _text: translation)
    assert page_templates.with_translations(sentence) == written
