"""Booking money of a real bank: what fits confirms, all else is kept, and nothing is booked twice.

A real bank cannot refuse money, so each Pix ends as a receipt.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from functools import partial

import pytest
import structlog

from db_models import Payment, ProviderCharge
from payments.at_bank import booking
from payments.at_bank.booking import Booking, BookingResult, Way
from providers.port import ChargeState
from tests.db.crowd import at_once
from tests.providers.bank_rows import KEY, LIFETIME, VALUE, BankRows
from tests.support.service import close_app, end_to_end_id, ready_app, settings_for

MARGIN_SECONDS = 60
THREE_HOURS = timedelta(hours=3)


@pytest.fixture
def rows(app, clock):
    """Rows at a bank, read and written beside the service."""
    return BankRows(app, clock)


def book(rows, account, money, way=Way.POLL, **options):
    """Book one Pix."""
    with rows.app.app_context():
        return booking.book(account, money, way, **options)


def test_a_pix_confirms_its_payment_once(rows):
    """Receipt, event, charge and payment change together; a repetition changes nothing."""
    account = rows.account()
    payment = rows.payment(account)
    money = rows.money(payment.txid)
    assert book(rows, account, money) == Booking(BookingResult.CONFIRMED, payment.txid)
    again = book(rows, account, money, Way.WINDOW)
    assert again.result is BookingResult.REPEATED
    stored = rows.payment_row(payment.txid)
    assert (stored.status, stored.end_to_end_id) == ("confirmed", money.end_to_end_id)
    [receipt] = rows.receipts()
    assert (receipt.payment_id, receipt.provider_account_id, receipt.misfit) == (
        payment.id,
        account,
        None,
    )
    assert rows.charge_row(payment.txid).status == "paid"
    assert rows.events() == ["payment.confirmed"]


@pytest.mark.parametrize("status", ["opening", "closing", "closed"])
def test_money_in_time_confirms_whatever_we_thought_of_the_charge(rows, status):
    """A callback may come before the answer to our own request, or race its closing."""
    account = rows.account()
    payment = rows.payment(account, charge={"status": status})
    assert book(rows, account, rows.money(payment.txid)).result is BookingResult.CONFIRMED
    assert rows.charge_row(payment.txid).status == ("closed" if status == "closed" else "paid")


def misfit_of(rows, account, money):
    """The misfit of this Pix, of which a receipt without a payment was stored."""
    booked = book(rows, account, money)
    assert booked.result is BookingResult.RECEIVED
    receipt = rows.receipts()[-1]
    assert (receipt.verdict, receipt.payment_id) == ("accepted", None)
    assert receipt.misfit == booked.misfit
    assert rows.events()[-1] == "receipt.received"
    return receipt


def test_money_that_does_not_fit_is_kept_and_pays_nothing(rows):
    """Another amount, a cancelled payment, a second Pix, an unknown txid: each says why."""
    account = rows.account()
    payment = rows.payment(account)
    wrong = misfit_of(rows, account, rows.money(payment.txid, amount_centavos=VALUE - 1))
    assert (wrong.misfit, wrong.meant_payment_id) == ("amount-mismatch", payment.id)
    assert rows.payment_row(payment.txid).status == "pending"

    settled = rows.payment(account)
    assert book(rows, account, rows.money(settled.txid)).result is BookingResult.CONFIRMED
    second = misfit_of(rows, account, rows.money(settled.txid))
    assert (second.misfit, second.meant_payment_id) == ("already-paid", settled.id)

    cancelled = rows.payment(account)
    rows.write(Payment, cancelled.id, status="cancelled", resolved_at=rows.clock.now())
    assert misfit_of(rows, account, rows.money(cancelled.txid)).misfit == "payment-cancelled"

    unknown = misfit_of(rows, account, rows.money("f" * 32))
    assert (unknown.misfit, unknown.meant_payment_id) == ("payment-not-found", None)
    assert unknown.bank_payment_id == "f" * 32


def test_money_without_a_charge_is_ordinary_money(rows):
    """A transfer to the key has no txid; a static code has a short one."""
    account = rows.account()
    transfer = misfit_of(rows, account, rows.money(None))
    assert (transfer.misfit, transfer.pix_key, transfer.reference) == (None, KEY, None)
    static = misfit_of(rows, account, rows.money("CAIXA01"))
    assert (static.misfit, static.reference, static.bank_payment_id) == (None, "CAIXA01", None)
    assert book(
        rows, account, rows.money("CAIXA02", end_to_end_id=static.end_to_end_id)
    ).result is (BookingResult.CONTRADICTION)


@pytest.mark.parametrize("skew", [-THREE_HOURS, timedelta(0), THREE_HOURS])
def test_late_is_judged_by_the_bank_s_own_clock(rows, skew):
    """A clock that is hours off shifts both times alike; 60 s after the lifetime is late."""
    account = rows.account()
    begun = rows.clock.now() + skew
    charge = {"bank_created_at": begun}
    last = begun + timedelta(seconds=LIFETIME + MARGIN_SECONDS)
    in_time, late = rows.payment(account, charge=charge), rows.payment(account, charge=charge)
    assert book(rows, account, rows.money(in_time.txid, paid_at=last)).result is (
        BookingResult.CONFIRMED
    )
    money = rows.money(late.txid, paid_at=last + timedelta(seconds=1))
    assert misfit_of(rows, account, money).misfit == "paid-too-late"
    assert all(receipt.paid_at <= rows.clock.now() for receipt in rows.receipts())


def test_without_the_bank_s_time_our_deadline_and_the_measured_offset_count(rows):
    """The first answer was lost, so the charge's beginning by the bank's clock is unknown."""
    account = rows.account(clock_offset_ms=int(THREE_HOURS.total_seconds() * 1000))
    payment = rows.payment(account, charge={"bank_created_at": None, "status": "opening"})
    last = payment.expires_at + THREE_HOURS + timedelta(seconds=MARGIN_SECONDS)
    late = rows.money(payment.txid, paid_at=last + timedelta(seconds=1))
    assert misfit_of(rows, account, late).misfit == "paid-too-late"
    in_time = rows.payment(account, charge={"bank_created_at": None})
    assert book(rows, account, rows.money(in_time.txid, paid_at=last)).result is (
        BookingResult.CONFIRMED
    )


def test_an_expired_payment_is_confirmed_by_money_that_was_in_time(rows):
    """The bank told us late."""
    account = rows.account()
    payment = rows.payment(account)
    money = rows.money(payment.txid)
    rows.write(Payment, payment.id, status="expired", resolved_at=payment.expires_at)
    rows.clock.advance(hours=2)
    assert book(rows, account, money).result is BookingResult.CONFIRMED


def test_the_first_report_of_an_id_stays(rows):
    """Another amount, txid or account under the same id changes nothing, and warns once."""
    account, other = rows.account(), rows.account(rows.merchant("Charlie"))
    payment, next_ = rows.payment(account), rows.payment(account)
    money = rows.money(payment.txid)
    book(rows, account, money)
    same_id = {"end_to_end_id": money.end_to_end_id}
    contradictions = [
        (account, rows.money(payment.txid, amount_centavos=1, **same_id)),
        (account, rows.money(next_.txid, **same_id)),
        (other, rows.money(payment.txid, **same_id)),
    ]
    with structlog.testing.capture_logs() as lines:
        for where, claim in contradictions * 2:
            assert book(rows, where, claim).result is BookingResult.CONTRADICTION
    warnings = [line for line in lines if line["event"] == "provider.contradicts_itself"]
    assert len(warnings) == 2  # one for each account
    assert len(rows.receipts()) == 1
    assert rows.payment_row(next_.txid).status == "pending"


def test_ids_that_differ_in_case_are_two_pix(rows):
    """No engine may fold the case of an id."""
    account = rows.account()
    low, high = (rows.money(None, end_to_end_id=f"E1234567820261130{tail}") for tail in "xX")
    assert [book(rows, account, money).result for money in (low, high)] == [
        BookingResult.RECEIVED
    ] * 2


def test_another_account_s_money_pays_nothing(rows):
    """The same merchant's other bank, or another merchant's, cannot pay this charge."""
    account = rows.account()
    second = rows.account(profile="inter", pix_key="outra@example.com")
    stranger = rows.account(rows.merchant("Charlie"))
    payment = rows.payment(account)
    own = misfit_of(rows, second, rows.money(payment.txid))
    assert (own.misfit, own.meant_payment_id) == ("payment-not-found", payment.id)
    foreign = misfit_of(rows, stranger, rows.money(payment.txid))
    assert (foreign.misfit, foreign.meant_payment_id) == ("payment-not-found", None)
    assert foreign.merchant_id != payment.merchant_id
    assert rows.payment_row(payment.txid).status == "pending"


def test_a_bank_account_that_was_added_twice_pays_its_charges(rows):
    """Its list names all its Pix, whichever entry asks; the charge's own entry gets the money."""
    first, again = rows.account(), rows.account()
    with_other_key = rows.account(pix_key="outra@example.com")
    for other in (again, with_other_key):
        payment = rows.payment(first)
        money = rows.money(payment.txid)
        assert book(rows, other, money) == Booking(BookingResult.CONFIRMED, payment.txid)
        for one in (first, other):
            assert book(rows, one, money).result is BookingResult.REPEATED
    assert {receipt.provider_account_id for receipt in rows.receipts()} == {first}
    live = rows.account(environment="live")
    of_sandbox = misfit_of(rows, live, rows.money(rows.payment(first).txid))
    assert of_sandbox.misfit == "payment-not-found"


def test_the_simulated_bank_cannot_pay_a_charge_of_a_real_one(rows, bank):
    """Its signature is right, and the payment is none of its business."""
    payment = rows.payment(rows.account())
    body = {"bank_payment_id": payment.txid, "value": "54.90", "end_to_end_id": end_to_end_id()}
    answer = bank.tell(body)
    assert (answer.status_code, answer.json["code"]) == (404, "payment-not-found")
    assert rows.payment_row(payment.txid).status == "pending"


def test_two_pix_of_one_charge_are_both_booked(rows):
    """The older one settles the payment, in whatever order the bank lists them."""
    account = rows.account()
    payment = rows.payment(account)
    older = rows.money(payment.txid)
    newer = rows.money(payment.txid, paid_at=older.paid_at + timedelta(seconds=9))
    with rows.app.app_context():
        booked = booking.book_held(account, rows.charge(payment.txid, [newer, older]))
    assert [one.misfit for one in booked] == [None, "already-paid"]
    assert rows.payment_row(payment.txid).end_to_end_id == older.end_to_end_id


def test_a_paid_charge_without_money_asks_for_a_window(rows):
    """Then the list of Pix must say what arrived; nothing is booked on the status alone."""
    account = rows.account()
    payment = rows.payment(account)
    bank_charge = rows.charge(payment.txid, state=ChargeState.PAID)
    with rows.app.app_context():
        assert booking.book_held(account, bank_charge) == []
    assert rows.account_row(account).window_wanted_at == rows.clock.now()
    assert rows.payment_row(payment.txid).status == "pending"


@pytest.mark.slow
def test_all_ways_at_once_book_one_receipt(any_database_url, tmp_path, clock):
    """Callback, poll and window name the same Pix at the same moment, in several processes."""
    settings = settings_for(any_database_url, tmp_path)
    with ExitStack() as closing:
        apps = [ready_app(settings, clock) for _ in range(3)]
        for app in apps:
            closing.callback(close_app, app)
        rows = BankRows(apps[0], clock)
        account = rows.account()
        payment = rows.payment(account)
        money = rows.money(payment.txid)
        each = [BankRows(app, clock) for app in apps] * 4
        booked = at_once([partial(book, one, account, money) for one in each])
        results = sorted(str(one.result) for one in booked)
        assert results == ["confirmed", *["repeated"] * (len(each) - 1)]
        assert len(rows.receipts()) == 1
        assert rows.events() == ["payment.confirmed"]
        assert isinstance(rows.charge_row(payment.txid), ProviderCharge)
