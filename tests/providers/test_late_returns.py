"""Returns that a bank makes weeks after the Pix are found without any callback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from payments.at_bank import account_lists, booking, late_returns, visiting
from payments.at_bank.watching import MoneyWatch
from providers.port import ProviderAway, ProviderRefusal
from tests.providers.bank_rows import VALUE, BankRows, returned
from tests.providers.connections import provider_for
from tests.providers.listing_bank import ListingBank
from tests.providers.stand_in import PIX_KEY, StandInBank

DAYS = 90


@pytest.fixture
def rows(app, clock):
    """Rows at a bank, read and written beside the service."""
    return BankRows(app, clock)


@pytest.fixture(autouse=True)
def _fresh_limits(monkeypatch):
    """Other tests have used the limits of this process."""
    for throttle in (visiting.LOOK_UPS, account_lists.WANTED_LISTS, visiting._CROWDS):
        monkeypatch.setattr(throttle, "_allowed_at", type(throttle._allowed_at)())
    account_lists._last_pauses.clear()


@pytest.fixture
def listing(app, clock):
    """The bank of every account."""
    bank = ListingBank(clock)
    app.extensions["balcao"].provider_clients._build = lambda _account, _secrets: bank
    return bank


@pytest.fixture
def account(rows):
    """An account that is older than all that a bank lists."""
    return rows.account(created_at=rows.clock.now() - timedelta(days=200))


def paid(rows, listing, account, days):
    """A payment that was paid some days ago; its callback came then."""
    payment = rows.payment(account)
    money = rows.money(payment.txid)
    listing.pay(payment.txid, money)
    with rows.app.app_context():
        booking.book(account, money)
    rows.clock.advance(seconds=days * 86_400)
    return rows.payment_row(payment.txid)


def visit(rows, account, watch=None):
    """Visit the account once, as a new process."""
    with rows.app.app_context():
        (watch or MoneyWatch(rows.app)).visit(account)


def pass_over(rows, account, visits=60):
    """Visit minute by minute until the pass has ended; returns how many visits it took."""
    for number in range(visits):
        visit(rows, account)
        rows.clock.advance(seconds=61)
        if not is_due(rows, account):
            return number + 1
    raise AssertionError("the pass does not end")


def is_due(rows, account):
    """Whether a pass should begin or go on."""
    with rows.app.app_context():
        return late_returns.is_due(account)


@pytest.mark.parametrize("days", [2, 40, 89])
def test_a_return_weeks_after_its_pix_is_booked_without_a_callback(rows, listing, account, days):
    """A MED that no callback tells of; the lists of money end a day after a Pix."""
    payment = paid(rows, listing, account, days)
    listing.give(payment.end_to_end_id, returned(VALUE))
    pass_over(rows, account)
    assert rows.payment_row(payment.txid).refunded_centavos == VALUE
    assert [(one.by_bank, one.status) for one in rows.refunds()] == [(True, "done")]


def test_a_pass_reads_all_days_without_a_gap_and_begins_again_a_day_later(rows, listing, account):
    """At a low rate: five pages a minute."""
    visits = pass_over(rows, account)
    windows = listing.returned_windows
    assert visits >= len(windows) / late_returns.PAGES_AT_ONCE
    assert windows[0][0] <= rows.clock.now() - timedelta(days=DAYS)
    assert windows[-1][1] >= rows.clock.now() - timedelta(days=1, hours=1)
    for earlier, later in pairwise(windows):
        assert later[0] == earlier[1] - late_returns.OVERLAP
    listing.returned_windows.clear()
    rows.clock.advance(seconds=22 * 3600)
    visit(rows, account)
    assert listing.returned_windows == []
    rows.clock.advance(seconds=2 * 3600)
    visit(rows, account)
    assert len(listing.returned_windows) == late_returns.PAGES_AT_ONCE


def test_a_pass_goes_on_where_another_process_ended(rows, listing, account):
    """Also within a window of several pages, and after the bank was away."""
    for _ in range(7):
        money = rows.money(None, paid_at=rows.clock.now() - timedelta(days=80))
        listing.money.append(money)
        listing.give(money.end_to_end_id, returned(VALUE))
    listing.page_size = 2
    original, questions = listing.returned_page, []

    def breaking(start, end, after):
        questions.append((start, after))
        if len(questions) == 12:
            raise ProviderAway("status-503")
        return original(start, end, after)

    listing.returned_page = breaking
    pass_over(rows, account)
    assert len(rows.receipts()) == 7
    assert len(set(questions)) == len(questions) - 1  # the one that had no answer is asked again
    assert questions[11] == questions[12]


def test_days_that_the_bank_does_not_list_any_more_hold_up_no_other(rows, listing, account):
    """It refuses what is older than 60 days, whatever its documents say."""
    payment = paid(rows, listing, account, 30)
    listing.give(payment.end_to_end_id, returned(VALUE))
    original = listing.returned_page

    def refusing(start, end, after):
        if start < rows.clock.now() - timedelta(days=60):
            raise ProviderRefusal("PixConsultaInvalida")
        return original(start, end, after)

    listing.returned_page = refusing
    pass_over(rows, account)
    assert rows.payment_row(payment.txid).refunded_centavos == VALUE
    assert rows.account_row(account).fault is None


def test_money_from_before_the_account_is_not_taken_over(rows, listing):
    """The shop used another system then; its Pix are none of this service's."""
    account = rows.account(created_at=rows.clock.now() - timedelta(days=5))
    money = rows.money(None, paid_at=rows.clock.now() - timedelta(days=30))
    listing.money.append(money)
    listing.give(money.end_to_end_id, returned(VALUE))
    pass_over(rows, account)
    assert rows.receipts() == []
    assert len(listing.returned_windows) <= 6


def old_pix(bank, centavos, days, *, has_return):
    """A Pix of some days ago at the stand-in."""
    at = datetime.now(UTC) - timedelta(days=days)
    end_to_end_id = bank.book.receive(PIX_KEY, centavos, at=at)
    if has_return:
        bank.book.give_back(end_to_end_id, centavos)
    return end_to_end_id


def listed(provider, days=20):
    """The ids on all pages of some hours of that day."""
    ids, cursor = [], None
    end = datetime.now(UTC) - timedelta(days=days) + timedelta(hours=1)
    for _ in range(20):
        page = provider.returned_page(end - timedelta(hours=3), end, cursor)
        ids += [one.end_to_end_id for one in page.money]
        cursor = page.next
        if cursor is None:
            return ids
    raise AssertionError("the pages do not end")


def test_the_bank_is_asked_for_pix_with_returns_alone():
    """A filter of the standard; the answer has what went back."""
    with StandInBank() as bank:
        returned_id = old_pix(bank, 500, 20, has_return=True)
        old_pix(bank, 600, 20, has_return=False)
        assert listed(provider_for(bank)) == [returned_id]
        assert bank.requests[-1].query["devolucaoPresente"] == "true"


def test_a_bank_that_refuses_the_filter_lists_all_its_pix():
    """Asked once; its further pages are of the other list, in any process."""
    with StandInBank() as bank:
        bank.book.page_size = 2
        ids = [old_pix(bank, 500 + one, 20, has_return=one == 3) for one in range(5)]
        list_money = bank.book.list_money

        def strict(query: Any) -> Any:
            if "devolucaoPresente" in query:
                return bank.book.error(400, "valor_invalido", "PixConsultaInvalida")
            return list_money(query)

        bank.book.list_money = strict  # type: ignore[method-assign]
        provider = provider_for(bank, page_size=2)
        assert sorted(listed(provider)) == sorted(ids)
        assert [one.query.get("devolucaoPresente") for one in bank.requests].count("true") == 1
        end = datetime.now(UTC) - timedelta(days=20) + timedelta(hours=1)
        first = provider.returned_page(end - timedelta(hours=3), end, None)
        other_process = provider_for(bank, page_size=2)
        second = other_process.returned_page(end - timedelta(hours=3), end, first.next)
        assert len({one.end_to_end_id for one in (*first.money, *second.money)}) == 4


def test_a_profile_may_say_that_there_is_no_filter():
    """Then all Pix are read."""
    with StandInBank() as bank:
        ids = [old_pix(bank, 500, 20, has_return=False)]
        assert listed(provider_for(bank, returned_filter="")) == ids
        assert "devolucaoPresente" not in bank.requests[-1].query
        assert provider_for(bank, returned_days=30).returns_listed_for() == timedelta(days=30)


def test_a_refused_list_shows_its_fault_and_is_asked_about_less_and_less(rows, listing):
    """Single charges are asked about as before, and their answers do not end the fault."""
    account = rows.account()
    watch = MoneyWatch(rows.app)
    visit(rows, account, watch)
    asked_at = []

    def refusing(start, end, after):
        asked_at.append(rows.clock.now())
        raise ProviderRefusal("PixConsultaInvalida")

    original, listing.money_page = listing.money_page, refusing
    rows.clock.advance(seconds=3601)
    payment = rows.payment(account)
    for _ in range(3 * 60 * 3):
        visit(rows, account, watch)
        assert account not in watch.unfinished
        rows.clock.advance(seconds=20)
    gaps = [(later - earlier) / timedelta(minutes=1) for earlier, later in pairwise(asked_at)]
    assert 0.7 <= gaps[0] <= 1.5
    assert len(asked_at) <= 12
    assert max(gaps) <= 38
    assert gaps[-1] > 15
    assert rows.account_row(account).fault == "list-refused:PixConsultaInvalida"
    assert ("find_charge", payment.txid) in listing.calls
    listing.money_page = original
    listing.money.append(rows.money(None))
    rows.clock.advance(seconds=40 * 60)
    visit(rows, account, watch)
    assert rows.account_row(account).fault is None
    assert len(rows.receipts()) == 1


def test_a_list_that_rests_is_not_asked_for_by_callbacks_or_a_crowd(rows, listing):
    """A callback that names no charge wants a list; many due look-ups are asked one by one."""
    account = rows.account()
    visit(rows, account)
    rows.clock.advance(seconds=3601)
    listing.errors = [ProviderRefusal("status-422")]
    visit(rows, account)
    listing.calls.clear()
    rows.clock.advance(seconds=20)
    with rows.app.app_context():
        account_lists.change_account(account, {"window_wanted_at": rows.clock.now()})
    payments = [rows.payment(account) for _ in range(visiting.SINGLES_MAX + 1)]
    rows.clock.advance(seconds=21)
    visit(rows, account)
    assert {operation for operation, _ in listing.calls} == {"find_charge"}
    assert len(payments) > len(listing.calls) - 1
    assert rows.account_row(account).window_wanted_at is not None


def test_the_words_for_a_refused_list_name_the_bank_s_reason(rows):
    """On the account's page, as for any other fault."""
    from providers.check_words import fault_sentence

    with rows.app.test_request_context():
        assert "PixConsultaInvalida" in fault_sentence("list-refused:PixConsultaInvalida")
