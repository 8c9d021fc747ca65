"""Learning of money without callbacks: look-ups and lists, account by account."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from core.errors import ConcurrentUpdate, DatabaseUnavailable
from db_models import Payment, ProviderAccount, ProviderHint
from payments.at_bank import account_lists, booking, refund_runs, visiting
from payments.at_bank.visiting import Visit
from payments.at_bank.watching import MoneyWatch
from providers import enrolment
from providers.enrolment import BankCredentials
from providers.port import AccountRefusal, ProviderAway, ProviderRefusal
from repository.database import in_unit_of_work, reading, unit_of_work
from tests.providers.bank_rows import BankRows
from tests.providers.listing_bank import ListingBank


@pytest.fixture
def rows(app, clock):
    """Rows at a bank, read and written beside the service."""
    return BankRows(app, clock)


@pytest.fixture(autouse=True)
def _fresh_limits(monkeypatch):
    """Other tests have used the limits of this process."""
    for throttle in (visiting.LOOK_UPS, account_lists.WANTED_LISTS, visiting._CROWDS):
        monkeypatch.setattr(throttle, "_allowed_at", type(throttle._allowed_at)())


@pytest.fixture
def listing(app, clock):
    """The bank of every account."""
    bank = ListingBank(clock)
    app.extensions["balcao"].provider_clients._build = lambda _account, _secrets: bank
    return bank


@pytest.fixture
def watch(app):
    """The visits of one process."""
    return MoneyWatch(app)


def visit(watch, account):
    """Visit an account now."""
    with watch._app.app_context():
        return watch.visit(account)


def hint(rows, account, **values):
    """Store what a callback would have named."""
    row = {"account_id": account, "txid": None, "end_to_end_id": None, "attempts": 0}
    with rows.app.app_context(), unit_of_work() as work:
        work.provider_money.insert_hints([{**row, "due_at": work.now, **values}])


def hints(rows):
    """How many hints are stored."""
    with rows.app.app_context(), reading() as work:
        return len(work.session.scalars(sa.select(ProviderHint.id)).all())


def test_a_due_look_up_confirms_the_payment(rows, listing, watch, clock):
    """No callback came; the look-up 20 s after the creation finds the money."""
    account = rows.account()
    payment = rows.payment(account)
    visit(watch, account)
    listing.pay(payment.txid, rows.money(payment.txid))
    listing.calls.clear()
    clock.advance(seconds=21)
    assert visit(watch, account)
    assert ("find_charge", payment.txid) in listing.calls
    assert rows.payment_row(payment.txid).status == "confirmed"
    assert rows.events() == ["payment.confirmed"]


def test_an_unpaid_payment_is_asked_about_again_and_later_not(rows, listing, watch, clock):
    """The pauses grow, and an hour after the deadline they end."""
    account = rows.account()
    payment = rows.payment(account)
    clock.advance(seconds=21)
    visit(watch, account)
    first = rows.payment_row(payment.txid).look_up_at
    assert first > clock.now()
    rows.write(Payment, payment.id, status="expired", resolved_at=payment.expires_at)
    clock.instant = payment.expires_at + timedelta(hours=1, seconds=1)
    visiting.LOOK_UPS._allowed_at.clear()
    visit(watch, account)
    assert rows.payment_row(payment.txid).look_up_at is None


def test_a_callback_s_hint_is_followed_and_noted(rows, listing, watch, clock):
    """The bank confirms what the callback named, so callbacks come."""
    account = rows.account(callback_fault="none-came", callback_checked_at=clock.now())
    payment = rows.payment(account)
    visit(watch, account)
    listing.pay(payment.txid, rows.money(payment.txid))
    clock.advance(seconds=2)
    hint(rows, account, txid=payment.txid)
    hint(rows, account, txid=payment.txid)
    listing.calls.clear()
    visit(watch, account)
    assert listing.calls == [("find_charge", payment.txid)]
    assert rows.payment_row(payment.txid).status == "confirmed"
    assert hints(rows) == 0
    stored = rows.account_row(account)
    assert (stored.callback_came_at, stored.callback_fault) == (clock.now(), None)


def test_a_forged_hint_costs_one_question_in_five_seconds(rows, listing, watch, clock):
    """However often it is repeated; and it confirms nothing."""
    account = rows.account()
    payment = rows.payment(account)
    visit(watch, account)
    listing.calls.clear()
    for _ in range(4):
        clock.advance(seconds=2)
        hint(rows, account, txid=payment.txid)
        visit(watch, account)
    assert listing.calls.count(("find_charge", payment.txid)) == 1
    assert rows.account_row(account).callback_came_at is None
    assert rows.payment_row(payment.txid).status == "pending"


def test_a_wanted_list_brings_money_without_a_charge(rows, listing, watch, clock):
    """Money for the key alone; repeated wishes cost one list in a minute."""
    account = rows.account()
    visit(watch, account)
    listing.money.append(rows.money(None))
    for _ in range(3):
        clock.advance(seconds=2)
        rows.write(ProviderAccount, account, window_wanted_at=clock.now())
        listing.windows.clear() if len(rows.receipts()) == 0 else None
        visit(watch, account)
    assert len(listing.windows) == 1
    [receipt] = rows.receipts()
    assert (receipt.payment_id, receipt.misfit) == (None, None)
    assert rows.account_row(account).callback_came_at is not None
    assert rows.account_row(account).window_wanted_at is not None  # of the later wishes


def test_many_due_look_ups_become_one_list(rows, listing, watch, clock):
    """The rate of a bank is small: a list answers for all of them."""
    account = rows.account()
    visit(watch, account)
    payments = [rows.payment(account) for _ in range(visiting.SINGLES_MAX + 5)]
    for payment in payments[:7]:
        listing.pay(payment.txid, rows.money(payment.txid))
    clock.advance(seconds=21)
    listing.calls.clear()
    visit(watch, account)
    assert {operation for operation, _ in listing.calls} == {"money_page"}
    assert [rows.payment_row(one.txid).status for one in payments].count("confirmed") == 7
    assert all(rows.payment_row(one.txid).look_up_at > clock.now() for one in payments[7:])


def test_after_a_stop_of_three_days_all_money_is_found(rows, listing, watch, clock):
    """Windows of at most a day, all their pages, from the mark on."""
    account = rows.account()
    visit(watch, account)
    listing.page_size = 3
    payments = [rows.payment(account) for _ in range(10)]
    for number, payment in enumerate(payments):
        paid_at = clock.now() + timedelta(seconds=number)
        listing.pay(payment.txid, rows.money(payment.txid, paid_at=paid_at))
    clock.advance(days=3)
    listing.windows.clear()
    visit(MoneyWatch(rows.app), account)
    assert [rows.payment_row(one.txid).status for one in payments] == ["confirmed"] * 10
    assert listing.windows[0][0] <= clock.now() - timedelta(days=3)
    assert max(end for _, end in listing.windows) == clock.now()


def test_a_list_that_breaks_off_goes_on_at_its_page(rows, listing, watch, clock):
    """The bank goes away after the first page; the next visit asks for the second."""
    account = rows.account()
    visit(watch, account)
    listing.page_size = 2
    listing.money += [rows.money(None, paid_at=clock.now()) for _ in range(5)]
    clock.advance(hours=2)
    pages = []
    original = listing.money_page

    def breaking(start, end, after):
        pages.append(after)
        if pages == [None, "1"]:
            raise ProviderAway("status-503")
        return original(start, end, after)

    listing.money_page = breaking
    visit(watch, account)
    clock.advance(minutes=2)
    visit(watch, account)
    assert pages[:4] == [None, "1", "1", "2"]
    assert len(rows.receipts()) == 5


def test_a_bank_that_is_away_is_left_alone(rows, listing, watch, clock):
    """The account rests as long as the bank asks for, and then goes on."""
    account = rows.account()
    payment = rows.payment(account)
    visit(watch, account)
    clock.advance(seconds=21)
    listing.errors = [ProviderAway("status-429", retry_after=timedelta(seconds=30))]
    assert visit(watch, account)
    clock.advance(seconds=20)
    assert not visit(watch, account)
    clock.advance(seconds=11)
    visiting.LOOK_UPS._allowed_at.clear()
    listing.pay(payment.txid, rows.money(payment.txid))
    assert visit(watch, account)
    assert rows.account_row(account).fault is None


def test_a_refused_account_shows_its_fault(rows, listing, watch, clock):
    """Credentials or certificate: a person must act."""
    account = rows.account()
    listing.errors = [AccountRefusal("invalid_client")]
    rows.payment(account)
    clock.advance(seconds=21)
    visit(watch, account)
    assert rows.account_row(account).fault == "invalid_client"


def renew(app, account):
    """Give the account other credentials, as its merchant does."""

    def do(work):
        row = work.provider_accounts.find(account)
        fresh = BankCredentials("client", "another-secret")
        enrolment.renew(work, work.accounts.find(row.merchant_id), row, fresh)

    with app.app_context():
        in_unit_of_work(do)


def test_other_credentials_end_the_rest_of_a_refused_account(rows, listing, app, watch, clock):
    """The merchant has acted, so nobody waits out the minute."""
    account = rows.account()
    payment = rows.payment(account)
    clock.advance(seconds=21)
    listing.errors = [AccountRefusal("invalid_client")] * 2
    assert visit(watch, account)
    listing.errors.clear()
    listing.pay(payment.txid, rows.money(payment.txid))
    clock.advance(seconds=6)
    assert not visit(watch, account)
    renew(app, account)
    visiting.LOOK_UPS._allowed_at.clear()
    assert visit(watch, account)
    assert rows.payment_row(payment.txid).status == "confirmed"


def test_other_credentials_end_the_rest_of_a_refused_list(rows, listing, app, watch, clock):
    """A scope was missing; the list would rest for another half hour."""
    account = rows.account()
    visit(watch, account)
    for _ in range(4):  # the rests grow
        clock.advance(hours=1, seconds=1)
        listing.errors = [ProviderRefusal("missing-scope")]
        assert visit(watch, account)
    listing.windows.clear()
    clock.advance(seconds=61)
    assert visit(watch, account)
    assert not listing.windows
    renew(app, account)
    assert visit(watch, account)
    assert listing.windows


def test_a_visit_with_old_credentials_makes_nobody_wait(rows, listing, app, watch, clock):
    """The bank refuses them when the merchant has entered others: these are used a second later."""
    account = rows.account()
    rows.payment(account)
    visit(watch, account)
    clock.advance(seconds=21)
    find_charge = listing.find_charge

    def refuse(_txid):
        listing.find_charge = find_charge
        renew(app, account)
        raise AccountRefusal("certificate-refused")

    listing.find_charge = refuse
    assert visit(watch, account)
    clock.advance(seconds=1)
    assert visit(watch, account)


def test_other_credentials_in_the_middle_of_a_list_lose_and_double_nothing(
    rows, listing, app, watch, clock
):
    """The walk has lost its mark: what it booked stays, and the list is read again from before."""
    account = rows.account()
    visit(watch, account)
    listing.page_size = 2
    listing.money += [rows.money(None, paid_at=clock.now()) for _ in range(5)]
    clock.advance(hours=2)
    money_page, pages, renewals = listing.money_page, [], iter([account])

    def renewed_at_the_second(start, end, after):
        pages.append(after)
        if after == "1":
            clock.advance(seconds=1)
            for one in renewals:
                renew(app, one)
        return money_page(start, end, after)

    listing.money_page = renewed_at_the_second
    visit(watch, account)
    ids = sorted(one.end_to_end_id for one in listing.money)
    assert sorted(one.end_to_end_id for one in rows.receipts()) == ids
    pages.clear()
    assert visit(watch, account)
    assert pages[0] is None
    assert sorted(one.end_to_end_id for one in rows.receipts()) == ids
    clock.advance(seconds=2)
    pages.clear()
    visit(watch, account)
    assert not pages  # this time the mark was stored


def test_a_lease_taken_back_too_late_doubles_nothing(rows, listing, app, watch, clock, monkeypatch):
    """The lease has ended and another process visits: both read the same, and book it once."""
    account = rows.account()
    payment = rows.payment(account)
    visit(watch, account)
    clock.advance(seconds=2)

    def away(*_):
        raise DatabaseUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(Visit, "_end", away)
        with pytest.raises(DatabaseUnavailable):
            visit(watch, account)
    clock.advance(seconds=121)
    listing.pay(payment.txid, rows.money(payment.txid))
    listing.money.append(rows.money(None))
    both, money_page = threading.Barrier(2, timeout=10), listing.money_page

    def side_by_side(start, end, after):
        both.wait()
        return money_page(start, end, after)

    listing.money_page = side_by_side
    other, results = MoneyWatch(app), []
    begun = [
        threading.Thread(target=lambda one=one: results.append(visit(one, account)))
        for one in (other, watch)
    ]
    rows.write(ProviderAccount, account, window_wanted_at=clock.now())
    clock.advance(hours=1)
    for thread in begun:
        thread.start()
    for thread in begun:
        thread.join(20)
    assert results == [True, True]
    assert len(rows.receipts()) == 2
    assert rows.events().count("payment.confirmed") == 1
    assert not watch._unreleased


@pytest.mark.parametrize("error", [ConcurrentUpdate, DatabaseUnavailable])
def test_a_fault_of_the_own_database_costs_seconds(rows, listing, watch, clock, error, monkeypatch):
    """It says nothing of the bank, so the account does not rest for a minute."""
    account = rows.account()
    visit(watch, account)
    rows.payment(account)
    clock.advance(seconds=21)

    def away(*_):
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(refund_runs, "run_at_bank", away)
        assert visit(watch, account)
    assert rows.account_row(account).fault is None
    clock.advance(seconds=5)
    assert visit(watch, account)


@pytest.mark.parametrize("step", ["_end", "begin"])
def test_a_database_that_goes_away_leaves_no_lease_behind(
    rows, listing, app, watch, clock, step, monkeypatch
):
    """The lease is stored, and nobody uses it: its process takes it back, and others wait."""
    account = rows.account()
    visit(watch, account)
    clock.advance(seconds=2)
    begin = Visit.begin

    def lose_answer(*arguments, **options):
        begin(*arguments, **options)
        raise DatabaseUnavailable

    def away(*_):
        raise DatabaseUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(Visit, step, lose_answer if step == "begin" else away)
        with pytest.raises(DatabaseUnavailable):
            visit(watch, account)
    other = MoneyWatch(app)
    other._visited_at[account] = time.monotonic()
    assert not visit(other, account)
    assert visit(watch, account)
    assert not visit(watch, account)  # it rests as after any visit


def test_a_charge_that_the_bank_refuses_to_show_keeps_no_other_back(rows, listing, watch, clock):
    """It waits for its next turn, as after any other answer; the list is read nevertheless."""
    account = rows.account()
    refused, paid = rows.payment(account), rows.payment(account)
    visit(watch, account)
    listing.pay(paid.txid, rows.money(paid.txid))
    listing.money.clear()
    clock.advance(seconds=21)
    find_charge = listing.find_charge

    def refuse_one(txid):
        if txid == refused.txid:
            raise AccountRefusal("forbidden")
        return find_charge(txid)

    listing.find_charge = refuse_one
    visit(watch, account)
    assert rows.payment_row(paid.txid).status == "pending"
    assert rows.account_row(account).fault == "forbidden"
    listing.money.append(rows.money(None))
    clock.advance(hours=1)
    visiting.LOOK_UPS._allowed_at.clear()
    visit(watch, account)
    assert rows.payment_row(paid.txid).status == "confirmed"
    assert len(rows.receipts()) == 2


def test_a_pix_that_the_bank_refuses_to_show_keeps_no_charge_back(rows, listing, watch, clock):
    """The scope for Pix is missing, and that for charges is there."""
    account = rows.account()
    paid = rows.payment(account)
    visit(watch, account)
    listing.pay(paid.txid, rows.money(paid.txid))
    clock.advance(seconds=21)
    hint(rows, account, end_to_end_id="E1")
    listing.errors = [AccountRefusal("forbidden")]
    visit(watch, account)
    assert ("find_money", "E1") in listing.calls
    assert rows.payment_row(paid.txid).status == "confirmed"
    assert rows.account_row(account).fault == "forbidden"


def test_a_long_rest_is_kept(rows, listing, watch, clock):
    """A rate limit may close for ten minutes: the account is not visited every second."""
    account = rows.account()
    visit(watch, account)
    rows.payment(account)
    clock.advance(seconds=21)
    listing.errors = [ProviderAway("rate-limit", retry_after=timedelta(minutes=10))]
    assert visit(watch, account)
    clock.advance(seconds=200)
    assert not visit(watch, account)


def test_a_slow_bank_delays_no_other(rows, app, clock, watch):
    """Two accounts at two banks: one hangs, the other's payment is confirmed meanwhile."""
    release = threading.Event()
    banks: dict[int, ListingBank] = {}

    class HangingBank(ListingBank):
        def money_page(self, start, end, after):
            release.wait(20)
            return super().money_page(start, end, after)

    def build(account, _secrets):
        return banks[account.id]

    app.extensions["balcao"].provider_clients._build = build
    hanging, quick = rows.account(), rows.account()
    banks[hanging], banks[quick] = HangingBank(clock), ListingBank(clock)
    payment = rows.payment(quick)
    banks[quick].pay(payment.txid, rows.money(payment.txid))
    try:
        with app.app_context():
            assert watch.run() == 2
        deadline = time.monotonic() + 10
        while rows.payment_row(payment.txid).status != "confirmed":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with app.app_context():
            assert watch.run() <= 1  # never two visits to one account
    finally:
        release.set()
        assert watch.join(10)


def test_one_process_visits_an_account_at_a_time(rows, listing, app, watch):
    """The lease lies in the database; the first visit of a new process takes it by force."""
    account = rows.account()
    assert visit(watch, account)
    assert not visit(watch, account)  # it rests for a second
    assert visit(MoneyWatch(app), account)


def test_payments_that_no_callback_announces_are_noted(rows, listing, watch, clock):
    """Three payments found by look-ups alone: the registered address does not work."""
    account = rows.account(callback_checked_at=clock.now())
    visit(watch, account)
    for payment in [rows.payment(account) for _ in range(3)]:
        listing.pay(payment.txid, rows.money(payment.txid))
    clock.advance(seconds=21)
    visit(watch, account)
    assert rows.account_row(account).callback_fault is None
    clock.advance(hours=1, minutes=1)
    visit(watch, account)
    assert rows.account_row(account).callback_fault == "none-came"


def test_a_used_up_rate_is_waited_for_and_is_no_fault(rows, listing, watch, clock):
    """The limit is our own: the visit goes on when its turn comes."""
    account = rows.account()
    payment = rows.payment(account)
    visit(watch, account)
    listing.pay(payment.txid, rows.money(payment.txid))
    clock.advance(seconds=21)
    busy = ProviderAway("rate-limit", retry_after=timedelta(milliseconds=20), was_sent=False)
    listing.errors = [busy] * 3
    visit(watch, account)
    assert rows.payment_row(payment.txid).status == "confirmed"
    assert rows.account_row(account).fault is None


def test_the_registered_address_is_read_back_once_a_day(rows, listing, watch, clock):
    """The bank has none: that is shown with the account."""
    account = rows.account()
    visit(watch, account)
    assert rows.account_row(account).callback_fault == "none"
    clock.advance(hours=2)
    visit(watch, account)
    clock.advance(hours=23)
    visit(watch, account)
    assert [call[0] for call in listing.calls].count("registered_callback") == 2


def test_a_hint_is_followed_after_any_number_of_attempts(rows, listing, watch, clock):
    """A bank may be away for days: the pause does not grow beyond all bounds."""
    account = rows.account()
    payment = rows.payment(account)
    visit(watch, account)
    clock.advance(seconds=2)
    hint(rows, account, txid=payment.txid, attempts=1000)
    listing.errors = [ProviderAway("timeout")]
    visit(watch, account)
    listing.pay(payment.txid, rows.money(payment.txid))
    visiting.LOOK_UPS._allowed_at.clear()
    clock.advance(minutes=11)
    visit(watch, account)
    assert (rows.payment_row(payment.txid).status, hints(rows)) == ("confirmed", 0)


def test_money_that_cannot_be_booked_keeps_no_other_back(rows, listing, watch, clock, monkeypatch):
    """Neither in a list, nor by a look-up, nor by a hint; it is asked about again."""
    account = rows.account()
    bad, other, unpaid = (rows.payment(account) for _ in range(3))
    clock.advance(seconds=21)
    hint(rows, account, txid=bad.txid)
    bad_money = rows.money(bad.txid)
    for payment, money in ((bad, bad_money), (other, rows.money(other.txid))):
        listing.pay(payment.txid, money)
    listing.money.append(rows.money(None))
    right = booking.book

    def book(account_id, money, *rest):
        if money.end_to_end_id == bad_money.end_to_end_id:
            raise ConcurrentUpdate
        return right(account_id, money, *rest)

    monkeypatch.setattr(booking, "book", book)
    visit(watch, account)
    assert rows.payment_row(other.txid).status == "confirmed"
    assert len(rows.receipts()) == 2
    assert watch.unfinished == frozenset()
    monkeypatch.setattr(booking, "book", right)
    visiting.LOOK_UPS._allowed_at.clear()
    clock.advance(minutes=2)
    visit(watch, account)
    statuses = [rows.payment_row(one.txid).status for one in (bad, unpaid)]
    assert (statuses, hints(rows)) == (["confirmed", "pending"], 0)
