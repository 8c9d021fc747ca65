"""Signals in the portal: told in plain words, with a badge until somebody has looked."""

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
    "wrong-pins": ("3 PINs errados para a mesma cobrança em 10 minutos.", "3 wrong PINs for"),
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
        def keep(work):
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
            in_unit_of_work(keep)

    return write


def newest_shown(browser) -> str:
    """What the form on the page would mark as seen, with everything before it."""
    found = re.search(r'name="up_to" value="([0-9a-f]{32})"', browser.get("/portal/signals").text)
    assert found
    return found[1]


def badge(browser, path="/portal"):
    """What the navigation says is unseen; None without a badge."""
    found = BADGE.search(browser.get(path).text)
    return found[1] if found else None


def test_a_real_burst_of_wrong_amounts_arrives_on_the_page(app, client, clock, alice, charge):
    """From the money that went back, by the job that counts, to the sentence and the badge."""
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
    assert "Pagador •••.456.789-••." in page
    assert "12345678909" not in page
    assert f'href="/portal/payments/{payment["id"]}"' in page
    assert "Avisamos a partir de 3." in page


@pytest.mark.parametrize("kind", SENTENCES)
def test_each_kind_is_a_sentence_in_both_languages(alice, charge, signal, kind):
    """Count and window stand in it; the threshold beside it."""
    subject = {"creation-burst": "", "refused-payer": "12345678909"}.get(kind)
    signal(charge(), kind, subject)
    portuguese, english = SENTENCES[kind]
    assert portuguese in alice.get("/portal/signals").text
    page = alice.get("/portal/signals?lang=en").text
    assert english in page
    assert "We alert you at 2 or more." in page


def test_windows_and_single_counts_read_well(alice, charge, signal):
    """A threshold of one is allowed, and a window of seconds or hours."""
    signal(charge(), times=1, threshold=1, window_seconds=45)
    signal(charge(), "creation-burst", "", times=1, threshold=1, window_seconds=7200)
    page = alice.get("/portal/signals").text
    assert "1 PIN errado para a mesma cobrança em 45 segundos." in page
    assert "1 cobrança criada em 2 horas." in page


def test_seen_is_what_was_on_the_page_and_not_what_came_meanwhile(app, alice, charge, signal):
    """The press of a button must not hide what nobody has read."""
    signal(charge())
    up_to = newest_shown(alice)
    signal(charge())
    answer = alice.post("/portal/signals/seen", {"up_to": up_to})
    assert (answer.status_code, answer.location) == (303, "/portal/signals?done=seen")
    assert badge(alice) == "1"
    assert "signals.seen" in actions(app, "alice")
    alice.post("/portal/signals/seen", {"up_to": newest_shown(alice)})
    assert badge(alice) is None
    assert "Marcar como vistos" not in alice.get("/portal/signals").text


def test_the_form_needs_its_token_and_an_id(alice, charge, signal):
    """A page elsewhere must not be able to wave a warning away."""
    signal(charge())
    assert alice.client.post("/portal/signals/seen", data={"up_to": "0" * 32}).status_code == 403
    assert alice.post("/portal/signals/seen", {"up_to": "x"}).status_code == 400
    assert alice.post("/portal/signals/seen", {"up_to": "0" * 32}).status_code == 303
    assert badge(alice) == "1"


def test_charlie_sees_and_marks_nothing_of_alices(app, alice, charlie, charge, signal):
    """Neither by list, nor by cursor, nor by the form."""
    payment = charge()
    signal(payment)
    up_to = newest_shown(alice)
    assert "Nada chamou a atenção." in charlie.get("/portal/signals").text
    assert payment["id"] not in charlie.get(f"/portal/signals?after={up_to}").text
    assert badge(charlie) is None
    charlie.post("/portal/signals/seen", {"up_to": up_to})
    assert badge(alice) == "1"


def test_the_badge_counts_to_ninety_nine(alice, charge, signal, clock):
    """It is counted in every page: what is more than many is not counted."""
    payment = charge()
    for number in range(UNSEEN_MAX):
        if number == UNSEEN_MAX - 1:
            assert badge(alice) == "99"
        signal(payment, window_at=clock.now() + timedelta(minutes=number))
    assert badge(alice) == "99+"


def test_the_list_is_paged_without_gap_or_copy(alice, charge, signal, clock):
    """60 signals, newest first, by the links of the pages."""
    payment = charge()
    for number in range(60):
        signal(payment, times=number + 2, window_at=clock.now() + timedelta(minutes=number))
    path: str | None = "/portal/signals"
    found, pages = [], 0
    while path:
        page = alice.get(path).text
        found += [int(n) for n in re.findall(r"(\d+) PINs errados", page)]
        pages += 1
        link = re.search(r'rel="next" href="([^"]+)"', page)
        path = link[1] if link else None
    assert (pages, found) == (3, list(range(61, 1, -1)))
    assert alice.get("/portal/signals?after=nonsense").status_code == 400


def test_a_payments_page_says_what_was_counted_about_it(alice, charge, signal, counted):
    """About this one alone: a burst says nothing of the payment that happened to be the newest."""
    first, other = charge(), charge()
    signal(first, times=7)
    signal(first, "creation-burst", "", times=900)
    page = alice.get(f"/portal/payments/{first['id']}").text
    assert "7 PINs errados para a mesma cobrança" in page
    assert "900 cobranças" not in page
    assert "PINs errados" not in alice.get(f"/portal/payments/{other['id']}").text
    with counted() as statements:
        alice.get(f"/portal/payments/{first['id']}")
    assert len([one for one in statements if "signals" in one]) == 1


def test_each_page_asks_one_statement_for_its_badge(alice, charge, signal, counted):
    """And the list of signals is one more."""
    signal(charge())
    for path, most in (("/portal", 1), ("/portal/settings", 1), ("/portal/signals", 2)):
        with counted() as statements:
            alice.get(path)
        assert len([one for one in statements if "FROM signals" in one]) == most, path
    with counted() as statements:
        alice.get("/portal?fragment=figures")
    assert [one for one in statements if "signals" in one] == []


def test_a_payer_unknown_to_the_forms_is_hidden_whole(alice, charge, signal):
    """A document of another length is none we know how to shorten."""
    signal(charge(), "refused-payer", "12345678000195")
    signal(charge(), "refused-payer", "123456789")
    page = alice.get("/portal/signals").text
    assert "Pagador ••.345.678/0001-••." in page
    assert "Pagador •••••••••." in page
    assert "123456789" not in page


def test_every_kind_that_is_counted_has_its_sentence():
    """A kind the page does not know would be told as another."""
    assert set(SENTENCES) == {str(kind) for kind in SignalKind}
