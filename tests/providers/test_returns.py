"""Returns at real banks: our refunds by the port, and those of the bank's own making."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa
import structlog

from db_models import Account, Payment, ProviderAccount, ProviderHint
from payments import attaching, refunds
from payments.at_bank import booking, lists, refund_runs, visiting
from payments.at_bank.booking import Way
from payments.at_bank.watching import MoneyWatch
from payments.receipt_schemas import Attachment
from payments.refund_reports import reason_code
from payments.schemas import NewRefund
from providers.certificate_notices import needing_certificates
from providers.port import AccountRefusal, BankReturn, ProviderAway, ProviderRefusal, ReturnState
from repository.database import reading, unit_of_work
from tests.db.crowd import at_once
from tests.portal.signing import make_account, sign_in
from tests.providers.bank_rows import KEY, VALUE, BankRows, returned
from tests.providers.listing_bank import ListingBank
from tests.support.service import close_app, ready_app, settings_for

DONE, PROCESSING, FAILED = ReturnState.DONE, ReturnState.PROCESSING, ReturnState.FAILED


@pytest.fixture
def rows(app, clock):
    """Rows at a bank, read and written beside the service."""
    return BankRows(app, clock)


@pytest.fixture(autouse=True)
def _fresh_limits(monkeypatch):
    """Other tests have used the limits of this process."""
    throttle = visiting.LOOK_UPS
    monkeypatch.setattr(throttle, "_allowed_at", type(throttle._allowed_at)())


@pytest.fixture
def listing(app, clock):
    """The bank of every account."""
    bank = ListingBank(clock)
    app.extensions["balcao"].provider_clients._build = lambda _account, _secrets: bank
    return bank


@pytest.fixture
def account(rows):
    """The row id of an account."""
    return rows.account()


@pytest.fixture
def paid(rows, listing, account):
    """A payment that was paid at the bank."""
    payment = rows.payment(account)
    money = rows.money(payment.txid)
    listing.pay(payment.txid, money)
    with rows.app.app_context():
        booking.book(account, money)
    return rows.payment_row(payment.txid)


def order(rows, payment, value=None):
    """Order a refund and tell the bank at once; returns whether it is settled, and the row."""
    with rows.app.app_context():
        with unit_of_work() as work:
            merchant = work.accounts.find(payment.merchant_id)
            assert merchant is not None
            current = work.payments.own(merchant, payment.txid)
            new_refund = NewRefund(value=value) if value else NewRefund()
            refund, _ = refunds.request_refund(work, current, new_refund, merchant)
        is_settled = refunds.tell_bank(refund.id)
    return is_settled, rows.refunds()[-1]


def visit(rows, account):
    """Let a new process visit the account."""
    with rows.app.app_context():
        MoneyWatch(rows.app).visit(account)


def book_page(rows, account, listing):
    """Book what the bank lists."""
    with rows.app.app_context():
        lists.book_page(account, listing.money, Way.WINDOW)


def test_a_refund_is_done_at_once_also_without_a_bank(rows, listing, paid):
    """A return without `rtrId` has our own id as its own."""
    is_settled, refund = order(rows, paid)
    assert is_settled
    assert (refund.status, refund.return_id) == ("done", refund.bank_refund_id)
    assert rows.payment_row(paid.txid).refunded_centavos == VALUE
    assert rows.events()[-1] == "payment.refunded"
    assert ("give_back", refund.bank_refund_id) in listing.calls


def test_a_lost_answer_is_asked_about_before_it_is_sent_again(rows, listing, account, paid, clock):
    """The bank has the return: it is not ordered twice."""
    listing.return_answers = [ProviderAway("timeout")]
    is_settled, refund = order(rows, paid)
    assert (is_settled, refund.status) == (False, "processing")
    final = BankReturn(refund.bank_refund_id, "D1", VALUE, DONE)
    listing.give(paid.end_to_end_id, final)
    listing.calls.clear()
    clock.advance(minutes=2)
    visit(rows, account)
    assert ("give_back", refund.bank_refund_id) not in listing.calls
    assert [(one.status, one.return_id) for one in rows.refunds()] == [("done", "D1")]
    assert rows.payment_row(paid.txid).refunded_centavos == VALUE


def test_the_refusal_of_a_repeated_order_is_not_believed_at_once(
    rows, listing, account, paid, clock
):
    """The first order was carried out, and the bank shows it late: a failed refund would be
    ordered anew, and the money would go back twice."""
    orders = []

    def give_back(_end_to_end_id, return_id, amount):
        orders.append(return_id)
        if len(orders) == 1:
            raise ProviderAway("timeout")
        if amount == VALUE:
            raise ProviderRefusal("id-used", "This id was used.")

    listing.give_back, listing.find_return = give_back, lambda *_: None
    assert not order(rows, paid)[0]
    clock.advance(seconds=20)
    with rows.app.app_context():
        refund_runs.run_at_bank(account)
    assert (rows.refunds()[0].status, len(orders)) == ("processing", 2)
    clock.advance(seconds=50)
    with rows.app.app_context():
        refund_runs.run_at_bank(account)
    assert (rows.refunds()[0].status, len(set(orders))) == ("failed", 1)


@pytest.mark.parametrize("is_listed", [False, True])
def test_another_amount_than_was_ordered_settles_nothing(
    rows, listing, account, paid, clock, is_listed
):
    """The bank contradicts itself: a person must look, and the audit tells."""
    listing.return_answers = [ProviderAway("timeout")]
    _, refund = order(rows, paid)
    listing.give(paid.end_to_end_id, BankReturn(refund.bank_refund_id, "D1", VALUE - 1, DONE))
    clock.advance(minutes=2)
    if is_listed:
        book_page(rows, account, listing)
    else:
        visit(rows, account)
    assert [one.status for one in rows.refunds()] == ["processing"]
    stored = rows.payment_row(paid.txid)
    assert (stored.refunding_centavos, stored.refunded_centavos) == (VALUE, 0)


def test_a_return_in_progress_is_asked_about_until_it_fails(rows, listing, account, paid, clock):
    """Then the sum is free again, and the bank's reason is kept as a code."""
    listing.return_answers = [BankReturn("", None, 1, PROCESSING)]
    _, refund = order(rows, paid)
    id_ = refund.bank_refund_id
    listing.give(paid.end_to_end_id, BankReturn(id_, None, VALUE, PROCESSING))
    clock.advance(minutes=2)
    visit(rows, account)
    assert rows.payment_row(paid.txid).refunding_centavos == VALUE
    listing.give(
        paid.end_to_end_id, BankReturn(id_, None, VALUE, FAILED, reason="Saldo não disponível.")
    )
    clock.advance(minutes=11)
    visit(rows, account)
    stored = rows.payment_row(paid.txid)
    assert (stored.refunding_centavos, stored.refunded_centavos) == (0, 0)
    assert [(one.status, one.reason) for one in rows.refunds()] == [
        ("failed", "saldo-nao-disponivel")
    ]
    assert rows.events()[-1] == "refund.failed"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ProviderRefusal("PixDevolucaoInvalida", "no"), "failed"),
        (AccountRefusal("invalid_client"), "processing"),
    ],
)
def test_a_refusal_of_the_refund_is_final_and_one_of_the_account_is_not(
    rows, listing, paid, error, status
):
    """A wrong certificate says nothing about the refund."""
    listing.return_answers = [error]
    _, refund = order(rows, paid)
    assert refund.status == status


def test_a_bank_s_own_return_is_booked_once(rows, listing, account, paid):
    """MED takes a part; the merchant can give back the rest and no more."""
    med = returned(2000, id="D1234567820261130MED")
    listing.give(paid.end_to_end_id, med)
    book_page(rows, account, listing)
    book_page(rows, account, listing)
    [refund] = rows.refunds()
    assert (refund.by_bank, refund.refund_id, refund.nature) == (True, med.id, "MED_FRAUDE")
    assert (refund.status, refund.return_id) == ("done", med.return_id)
    assert rows.payment_row(paid.txid).refunded_centavos == 2000
    assert rows.events().count("payment.refunded") == 1
    is_settled, rest = order(rows, paid)
    assert (is_settled, rest.amount_centavos) == (True, VALUE - 2000)


def test_a_bank_s_return_in_progress_is_asked_about(rows, listing, account, paid, clock):
    """By the bank's id; nobody orders it."""
    med = returned(VALUE, id="MED1", state=PROCESSING)
    listing.give(paid.end_to_end_id, med)
    book_page(rows, account, listing)
    assert rows.payment_row(paid.txid).refunding_centavos == VALUE
    listing.give(paid.end_to_end_id, returned(VALUE, id="MED1"))
    listing.calls.clear()
    clock.advance(minutes=1)
    visit(rows, account)
    assert rows.payment_row(paid.txid).refunded_centavos == VALUE
    assert not [call for call in listing.calls if call[0] == "give_back"]


def test_a_bank_s_return_waits_for_our_own_refund(rows, listing, account, paid, clock):
    """Ours holds the whole sum and fails in the end; then the bank's return fits."""
    listing.return_answers = [BankReturn("", None, 1, PROCESSING)]
    _, own = order(rows, paid)
    failing = BankReturn(own.bank_refund_id, None, VALUE, PROCESSING)
    med = returned(VALUE, id="MED2")
    listing.give(paid.end_to_end_id, failing, med)
    book_page(rows, account, listing)
    assert [one.by_bank for one in rows.refunds()] == [False]
    at_last = BankReturn(own.bank_refund_id, None, VALUE, FAILED, reason="MED")
    listing.give(paid.end_to_end_id, at_last, med)
    clock.advance(seconds=61)
    visit(rows, account)
    visiting.LOOK_UPS._allowed_at.clear()
    clock.advance(seconds=61)
    visit(rows, account)
    assert [(one.by_bank, one.status) for one in rows.refunds()] == [
        (False, "failed"),
        (True, "done"),
    ]
    assert rows.payment_row(paid.txid).refunded_centavos == VALUE


def test_money_without_a_payment_gets_one_when_its_bank_returns_it(rows, listing, account):
    """So that refunds have one procedure; a return that failed changes nothing."""
    money = rows.money(None)
    listing.money.append(money)
    listing.give(money.end_to_end_id, returned(VALUE, state=FAILED))
    book_page(rows, account, listing)
    assert rows.receipts()[0].payment_id is None
    assert rows._rows(sa.select(ProviderHint)) == []
    listing.give(money.end_to_end_id, returned(VALUE))
    book_page(rows, account, listing)
    [receipt] = rows.receipts()
    assert receipt.payment_id is not None
    [refund] = rows.refunds()
    assert (refund.payment_id, refund.status, refund.by_bank) == (receipt.payment_id, "done", True)


@pytest.mark.slow
def test_all_ways_at_once_book_one_return_of_money_without_a_payment(
    any_database_url, tmp_path, clock
):
    """A list, a look-up and two entries of one bank account, in several processes."""
    settings = settings_for(any_database_url, tmp_path)
    with ExitStack() as closing:
        apps = [ready_app(settings, clock) for _ in range(3)]
        for app in apps:
            closing.callback(close_app, app)
        each = [BankRows(app, clock) for app in apps]
        accounts = [each[0].account(), each[0].account()]
        money = each[0].money("f" * 32, returns=(returned(VALUE),))
        with apps[0].app_context():
            booking.book(accounts[0], money)

        def book_as_page(one, account):
            with one.app.app_context(), structlog.testing.capture_logs() as logs:
                lists.book_page(account, [money], Way.WINDOW)
            return logs

        def book_as_charge(one, account):
            with one.app.app_context(), structlog.testing.capture_logs() as logs:
                lists.book_charge(account, one.charge(money.txid, [money]), Way.POLL)
            return logs

        logs = at_once(
            [
                partial(way, one, account)
                for one in each
                for account in accounts
                for way in (book_as_page, book_as_charge)
            ]
        )
        assert [line for part in logs for line in part if line["log_level"] == "error"] == []
        assert [one.amount_centavos for one in each[0].refunds()] == [VALUE]
        [receipt] = each[0].receipts()
        with apps[0].app_context(), reading() as work:
            [payment] = work.session.scalars(sa.select(Payment)).all()
            assert work.session.scalars(sa.select(ProviderHint)).all() == []
        assert (receipt.payment_id, payment.refunded_centavos) == (payment.id, VALUE)


def test_a_return_that_is_done_after_we_gave_it_up_is_booked(rows, listing, account, paid):
    """The bank refused a repetition although the first order had been carried out."""
    listing.return_answers = [ProviderRefusal("status-422")]
    _, own = order(rows, paid)
    assert own.status == "failed"
    listing.give(paid.end_to_end_id, BankReturn(own.bank_refund_id, "D9", VALUE, DONE))
    book_page(rows, account, listing)
    assert rows.payment_row(paid.txid).refunded_centavos == VALUE
    assert [one.by_bank for one in rows.refunds()] == [False, True]


def test_another_account_says_nothing_of_our_money(rows, listing, account, paid):
    """A stranger's bank lists the same id with a return."""
    stranger = rows.account(rows.merchant("Charlie"))
    listing.give(paid.end_to_end_id, returned(VALUE))
    book_page(rows, stranger, listing)
    assert rows.refunds() == []


def test_a_refund_goes_to_the_bank_that_has_the_money(rows, listing, account, clock):
    """Money of one account that its merchant attached to a payment of another one."""
    other = rows.account()
    money = rows.money(None)
    listing.money.append(money)
    with rows.app.app_context():
        booking.book(other, money)
    payment = rows.payment(account)
    with rows.app.app_context(), unit_of_work() as work:
        merchant = work.accounts.find(payment.merchant_id)
        receipt = work.receipts.find_by_end_to_end_id(money.end_to_end_id)
        assert merchant is not None
        assert receipt is not None
        attaching.attach(work, merchant, receipt, Attachment(payment_id=payment.txid))
    listing.return_answers = [ProviderAway("timeout")]
    order(rows, payment)
    clock.advance(minutes=2)
    visit(rows, account)
    assert rows.refunds()[0].status == "processing"
    visit(rows, other)
    assert rows.refunds()[0].status == "done"


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        (None, "refund-failed"),
        ("…", "refund-failed"),
        ("Conta sem saldo: tente amanhã", "conta-sem-saldo-tente-amanha"),
        ("x" * 200, "x" * 64),
    ],
)
def test_a_sentence_becomes_a_code(sentence, code):
    """So that programs and the column can hold it."""
    assert reason_code(sentence) == code


def test_the_pause_of_a_refund_grows_for_days(rows, listing, account, paid, clock):
    """Between two questions lie at most ten minutes, and they never end by themselves."""
    listing.return_answers = [BankReturn("", None, 1, PROCESSING)]
    _, own = order(rows, paid)
    listing.give(paid.end_to_end_id, BankReturn(own.bank_refund_id, None, VALUE, PROCESSING))
    clock.advance(days=3)
    visit(rows, account)
    [refund] = rows.refunds()
    assert refund.status == "processing"
    assert refund.ask_at - clock.now() == timedelta(minutes=10)


def test_the_merchant_sees_why_the_bank_gave_money_back(client, rows, listing, account, paid):
    """In the interface, and in the words of API Pix."""
    listing.give(paid.end_to_end_id, returned(1000, id="MED3"))
    book_page(rows, account, listing)
    [refund] = client.get(f"/payments/pix/{paid.txid}/refunds").json
    assert (refund["id"], refund["by_bank"], refund["nature"]) == ("MED3", True, "MED_FRAUDE")
    receipts = client.get("/payments/pix/receipts").json["data"]
    assert [one["misfit"] for one in receipts] == [None]


def test_two_pix_may_have_returns_with_one_id(rows, listing, account):
    """The bank's ids are unique within a Pix only, also where it sends no `rtrId`."""
    payments = [rows.payment(account) for _ in range(2)]
    for payment in payments:
        back = returned(100, id="1", return_id=None)
        listing.pay(payment.txid, rows.money(payment.txid, returns=(back,)))
    visit(rows, account)
    assert [(one.status, one.refund_id) for one in rows.refunds()] == [("done", "1")] * 2
    assert len({one.return_id for one in rows.refunds()}) == 2
    assert [rows.payment_row(one.txid).refunded_centavos for one in payments] == [100, 100]


def test_a_merchant_may_have_chosen_the_id_of_the_bank_s_return(rows, listing, account, paid):
    """The bank's return is booked beside the merchant's refund, and once."""
    with rows.app.app_context(), unit_of_work() as work:
        merchant = work.accounts.find(paid.merchant_id)
        assert merchant is not None
        current = work.payments.own(merchant, paid.txid)
        own, _ = refunds.request_refund(
            work, current, NewRefund.model_validate({"refund_id": "abc", "value": "1.00"}), merchant
        )
    with rows.app.app_context():
        assert refunds.tell_bank(own.id)
    listing.give(paid.end_to_end_id, returned(200, id="abc"))
    for _ in range(2):
        book_page(rows, account, listing)
    assert [(one.status, one.amount_centavos) for one in rows.refunds()] == [
        ("done", 100),
        ("done", 200),
    ]
    assert rows.payment_row(paid.txid).refunded_centavos == 300


def test_a_return_of_the_bank_s_own_making_may_be_done_after_it_failed(
    rows, listing, account, paid
):
    """What has left the merchant's account counts, whatever the bank said before."""
    for state in (PROCESSING, FAILED, DONE, DONE):
        listing.give(paid.end_to_end_id, returned(100, id="abc", state=state, return_id="D9"))
        book_page(rows, account, listing)
    assert [one.status for one in rows.refunds()] == ["failed", "done"]
    stored = rows.payment_row(paid.txid)
    assert (stored.refunded_centavos, stored.refunding_centavos) == (100, 0)


def test_a_return_with_a_long_id_is_asked_about_by_its_pix(rows, listing, account, paid, clock):
    """Such an id is stored as a hash, which no bank knows."""
    id_ = "0d5bb4a8-6a3c-4d53-a5b1-9d6f2a7a9a10"
    listing.give(paid.end_to_end_id, returned(100, id=id_, state=PROCESSING))
    book_page(rows, account, listing)
    listing.give(paid.end_to_end_id, returned(100, id=id_))
    clock.advance(minutes=11)
    with rows.app.app_context():
        assert refund_runs.run_at_bank(account) == 1
    assert [one.status for one in rows.refunds()] == ["done"]


def hint_row(rows):
    """The one hint that is stored."""
    [hint] = rows._rows(sa.select(ProviderHint))
    return hint


def let_time_pass(rows, account, clock, pause):
    """Visit again after a pause, as a new process would."""
    visiting.LOOK_UPS._allowed_at.clear()
    clock.advance(seconds=pause.total_seconds())
    visit(rows, account)


def test_a_return_of_more_than_the_payment_is_asked_about_less_and_less(
    rows, listing, account, paid, clock
):
    """It can never fit by itself, so a person must look; it is shown and never forgotten."""
    listing.give(paid.end_to_end_id, returned(VALUE + 1, id="MED3"))
    book_page(rows, account, listing)
    hint = hint_row(rows)
    assert (hint.misfit, hint.amount_centavos) == ("return-exceeds", VALUE + 1)
    pauses = []
    for _ in range(12):
        let_time_pass(rows, account, clock, hint_row(rows).due_at - clock.now())
        pauses.append(hint_row(rows).due_at - clock.now())
    assert pauses[:3] == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert pauses[-1] == timedelta(hours=6)
    assert rows.refunds() == []
    with rows.app.app_context(), reading() as work:
        assert work.provider_money.open_misfits() == 1
    listing.money.clear()  # the bank forgets such an old Pix
    let_time_pass(rows, account, clock, timedelta(hours=6))
    assert hint_row(rows).misfit == "return-exceeds"


def test_a_return_that_exceeded_its_payment_is_booked_once_it_fits(
    rows, listing, account, paid, clock
):
    """The bank corrects its amount."""
    listing.give(paid.end_to_end_id, returned(VALUE + 1, id="MED3"))
    book_page(rows, account, listing)
    listing.give(paid.end_to_end_id, returned(VALUE, id="MED3"))
    let_time_pass(rows, account, clock, timedelta(minutes=1))
    assert rows._rows(sa.select(ProviderHint)) == []
    assert rows.payment_row(paid.txid).refunded_centavos == VALUE
    with rows.app.app_context(), reading() as work:
        assert work.provider_money.open_misfits() == 0


def test_the_account_s_page_shows_a_return_that_does_not_fit(rows, listing):
    """With its amount and its Pix, for a question to the bank."""
    make_account(rows.app, "alice")
    [alice] = rows._rows(sa.select(Account.id).where(Account.login == "alice"))
    account = rows.account(alice)
    money = rows.money(None)
    listing.money.append(money)
    listing.give(money.end_to_end_id, returned(VALUE + 1, id="MED3"))
    book_page(rows, account, listing)
    address = f"/portal/provider/{rows.account_row(account).public_id}"
    page = sign_in(rows.app, "alice").get(address).text
    assert "54,91" in page
    assert money.end_to_end_id in page


@pytest.mark.parametrize("key", [KEY, "outra@example.com"])
def test_a_return_is_booked_whichever_entry_of_the_bank_account_lists_it(
    rows, listing, account, paid, key
):
    """The merchant removed the entry long ago and added the bank account again."""
    rows.write(ProviderAccount, account, removed_at=rows.clock.now() - timedelta(days=60))
    again = rows.account(pix_key=key)
    listing.give(paid.end_to_end_id, returned(VALUE))
    book_page(rows, again, listing)
    assert [(one.by_bank, one.status) for one in rows.refunds()] == [(True, "done")]
    assert rows.payment_row(paid.txid).refunded_centavos == VALUE


@pytest.mark.parametrize("other", [{"profile": "inter"}, {"environment": "live"}])
def test_another_bank_or_environment_says_nothing_of_our_money(rows, listing, account, paid, other):
    """A sandbox, or a bank that only names an id it has seen, takes nothing back."""
    elsewhere = rows.account(**other)
    listing.give(paid.end_to_end_id, returned(VALUE))
    book_page(rows, elsewhere, listing)
    assert rows.refunds() == []


def test_a_removed_account_needs_its_certificate_while_a_return_is_not_finished(
    rows, listing, account, paid
):
    """Else a refund that the bank has begun would never be seen to end."""
    rows.write(ProviderAccount, account, removed_at=rows.clock.now())

    def needs_certificate():
        with rows.app.app_context(), reading() as work:
            return bool(needing_certificates(work, work.provider_accounts.all()))

    assert not needs_certificate()
    listing.return_answers = [BankReturn("", None, VALUE, PROCESSING)]
    order(rows, paid)
    assert needs_certificate()
