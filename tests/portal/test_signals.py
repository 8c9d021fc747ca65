"""Signals in the portal: sentences, and a badge for unseen signals."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from db_models import Payment, SignalKind
from payments.signals import scan
from repository.database import in_unit_of_work
from repository.signals import UNSEEN_MAX
from tests.accounts.people import actions
from tests.support.service import BankInTest

BADGE = re.compile(r'class="nav__badge">(\d+\+?)<')
SENTENCES = {
    "wrong-pins": ("3 senhas erradas para a mesma cobrança em 10 minutos.", "3 wrong PINs for"),
    "wrong-amounts": ("3 pagamentos de valor errado", "Wrong amount paid 3 times"),
    "creation-burst": (
        "3 cobranças criadas em 10 minutos.",
        "3 payments created within 10 minutes",
    ),
    "refused-payer": (
        "3 pagamentos recusados do mesmo pagador",
        "3 refused payments from the same",
    ),
}


@pytest.fixture
def signal(app, clock):
    """Write a signal about a payment: signal(payment, "wrong-pins", times=3, …)."""

    def write(payment, kind="wrong-pins", subject=None, **changes):
        def insert(work):
            row = work.session.scalars(
                select(Payment.__table__.c.id).where(Payment.txid == payment["id"])
            ).one()
            owner = work.session.scalars(
                select(Payment.__table__.c.merchant_id).where(Payment.txid == payment["id"])
            ).one()
            work.signals.insert(
                {
                    "merchant_id": owner,
                    "kind": kind,
                    "subject": payment["id"] if subject is None else subject,
                    "payment_id": row,
                    "times": 3,
                    "threshold": 2,
                    "window_seconds": 600,
                    "window_at": work.now,
                    "first_at": work.now,
                    "last_at": work.now,
                    **changes,
                }
            )

        with app.app_context():
            in_unit_of_work(insert)

    return write


def newest_id(browser) -> str:
    """The id of the newest signal on the page, as its form sends it."""
    match = re.search(r'name="up_to" value="([0-9a-f]{32})"', browser.get("/portal/signals").text)
    assert match
    return match[1]


def badge(browser, path="/portal"):
    """The text of the navigation's badge; None without a badge."""
    match = BADGE.search(browser.get(path).text)
    return match[1] if match else None


def test_a_burst_of_wrong_amounts_becomes_a_signal_on_the_page(app, client, clock, alice, charge):
    """From refused money, by the counting job, to the sentence and the badge."""
    payment = charge()
    bank = BankInTest(client, clock)
    for _ in range(3):
        assert bank.confirm(payment, value=1.23).get_json()["code"] == "amount-mismatch"
    assert badge(alice) is None
    with app.app_context():
        assert scan(app.config["BALCAO"]) == 2
    assert badge(alice) == "2"
    page = alice.get("/portal/signals").text
    assert "3 pagamentos de valor errado para a mesma cobrança em 10 minutos." in page
    assert "Pagador ***.456.789-**." in page
    assert "12345678909" not in page
    assert f'href="/portal/payments/{payment["id"]}"' in page
    assert "Avisamos a partir de 3." in page


@pytest.mark.parametrize("kind", SENTENCES)
def test_each_kind_is_a_sentence_in_both_languages(alice, charge, signal, kind):
    """The sentence has count and window; the threshold is beside it."""
    subject = {"creation-burst": "", "refused-payer": "12345678909"}.get(kind)
    signal(charge(), kind, subject)
    portuguese, english = SENTENCES[kind]
    assert portuguese in alice.get("/portal/signals").text
    page = alice.get("/portal/signals?lang=en").text
    assert english in page
    assert "We alert you at 2 or more." in page


def test_sentences_have_the_right_singular_and_unit(alice, charge, signal):
    """A count may be one, and a window seconds or hours."""
    signal(charge(), times=1, threshold=1, window_seconds=45)
    signal(charge(), "creation-burst", "", times=1, threshold=1, window_seconds=7200)
    page = alice.get("/portal/signals").text
    assert "1 senha errada para a mesma cobrança em 45 segundos." in page
    assert "1 cobrança criada em 2 horas." in page


def test_only_signals_that_were_on_the_page_are_marked_as_seen(app, alice, charge, signal):
    """The button must not hide signals that arrived after the page was loaded."""
    signal(charge())
    up_to = newest_id(alice)
    signal(charge())
    answer = alice.post("/portal/signals/seen", {"up_to": up_to})
    assert (answer.status_code, answer.location) == (303, "/portal/signals?done=seen")
    assert badge(alice) == "1"
    assert "signals.seen" in actions(app, "alice")
    alice.post("/portal/signals/seen", {"up_to": newest_id(alice)})
    assert badge(alice) is None
    assert "Marcar como vistos" not in alice.get("/portal/signals").text


def test_the_form_needs_its_token_and_an_id(alice, charge, signal):
    """Another site must not be able to dismiss a warning."""
    signal(charge())
    assert alice.client.post("/portal/signals/seen", data={"up_to": "0" * 32}).status_code == 403
    assert alice.post("/portal/signals/seen", {"up_to": "x"}).status_code == 400
    assert alice.post("/portal/signals/seen", {"up_to": "0" * 32}).status_code == 303
    assert badge(alice) == "1"


def test_charlie_neither_sees_nor_marks_alices_signals(app, alice, charlie, charge, signal):
    """Not by the list, the cursor or the form."""
    payment = charge()
    signal(payment)
    up_to = newest_id(alice)
    assert "Nada chamou a atenção." in charlie.get("/portal/signals").text
    assert payment["id"] not in charlie.get(f"/portal/signals?after={up_to}").text
    assert badge(charlie) is None
    charlie.post("/portal/signals/seen", {"up_to": up_to})
    assert badge(alice) == "1"


def test_the_badge_counts_to_ninety_nine(alice, charge, signal, clock):
    """Every page counts unseen signals, so the count has a limit."""
    payment = charge()
    for number in range(UNSEEN_MAX):
        if number == UNSEEN_MAX - 1:
            assert badge(alice) == "99"
        signal(payment, window_at=clock.now() + timedelta(minutes=number))
    assert badge(alice) == "99+"


def test_paging_shows_each_signal_once(alice, charge, signal, clock):
    """60 signals, newest first, by the links of the pages."""
    payment = charge()
    for number in range(60):
        signal(payment, times=number + 2, window_at=clock.now() + timedelta(minutes=number))
    path: str | None = "/portal/signals"
    counts, pages = [], 0
    while path:
        page = alice.get(path).text
        counts += [int(n) for n in re.findall(r"(\d+) senhas erradas", page)]
        pages += 1
        link = re.search(r'rel="next" href="([^"]+)"', page)
        path = link[1] if link else None
    assert (pages, counts) == (3, list(range(61, 1, -1)))
    assert alice.get("/portal/signals?after=nonsense").status_code == 400


def test_a_payments_page_shows_its_own_signals(alice, charge, signal, count_statements):
    """A burst is not a signal about the payment that happened to be the newest."""
    first, other = charge(), charge()
    signal(first, times=7)
    signal(first, "creation-burst", "", times=900)
    page = alice.get(f"/portal/payments/{first['id']}").text
    assert "7 senhas erradas para a mesma cobrança" in page
    assert "900 cobranças" not in page
    assert "senhas erradas" not in alice.get(f"/portal/payments/{other['id']}").text
    with count_statements() as statements:
        alice.get(f"/portal/payments/{first['id']}")
    assert len([text for text in statements if "signals" in text]) == 1


def test_each_page_asks_one_statement_for_its_badge(alice, charge, signal, count_statements):
    """The list of signals needs one more."""
    signal(charge())
    for path, statements_max in (("/portal", 1), ("/portal/settings", 1), ("/portal/signals", 2)):
        with count_statements() as statements:
            alice.get(path)
        assert len([text for text in statements if "FROM signals" in text]) == statements_max, path
    with count_statements() as statements:
        alice.get("/portal?fragment=figures")
    assert [text for text in statements if "signals" in text] == []


def test_a_document_of_unknown_length_is_masked_completely(alice, charge, signal):
    """A CPF has 11 digits and a CNPJ 14."""
    signal(charge(), "refused-payer", "12345678000195")
    signal(charge(), "refused-payer", "123456789")
    page = alice.get("/portal/signals").text
    assert "Pagador **.345.678/0001-**." in page
    assert "Pagador *********." in page
    assert "123456789" not in page


def test_every_kind_that_is_counted_has_its_sentence():
    """A kind without a sentence would get another kind's sentence."""
    assert set(SENTENCES) == {str(kind) for kind in SignalKind}
