"""Look up one payment's money at the bank, and settle the payment with what the bank reports.

`settle` uses `service.confirm`, as notifications do: a lost confirmation is found, and a repeated
one is a duplicate. No function holds a transaction while it waits for the bank.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

import structlog

from core.errors import BalcaoError, NotificationConflict
from core.runtime.throttle import Throttle
from core.signing.signatures import VerifiedMessage
from payments import receiving
from payments.at_bank import asking
from payments.schemas import Confirmation
from payments.service import CLOCK_SKEW, ConfirmationResult
from providers.accounts import signing_bank_of
from providers.port import BankMoney, ProviderAway
from providers.repeated_warnings import warn_hourly
from repository.database import in_unit_of_work, now, reading

log = structlog.get_logger()

LOOK_UP_INTERVAL = timedelta(seconds=5)

_look_ups = Throttle(LOOK_UP_INTERVAL.total_seconds())


class Inquiry(StrEnum):
    """What became of a question to the bank about one payment."""

    ANSWERED = "answered"
    NO_ANSWER = "no-answer"
    RECENT = "recent"
    """The bank was asked less than 5 s ago."""
    NOBODY = "nobody"
    """There is no bank to ask: the service waits for confirmations."""
    NOT_NEEDED = "not-needed"


def inquire(txid: str) -> Inquiry:
    """Look up a payment's transfers at the bank, and settle the payment with them.

    At most once in 5 s per payment and process. A failed look-up changes nothing and raises
    nothing.
    """
    with reading() as work:
        payment = work.payments.find_by_txid(txid)
    if payment is None:
        return Inquiry.NOBODY
    if payment.provider_account_id is not None:
        is_answered = asking.ask(payment.provider_account_id, txid)
        if is_answered is None:
            return Inquiry.RECENT
        return Inquiry.ANSWERED if is_answered else Inquiry.NO_ANSWER
    bank = signing_bank_of(payment.merchant_id)
    if bank is None:
        return Inquiry.NOBODY
    if not may_look_up(txid):
        return Inquiry.RECENT
    try:
        for money in bank.money_of(txid):
            settle(money, is_test=bank.is_test)
    except (ProviderAway, BalcaoError) as error:
        log.info("bank.look_up_failed", payment=txid, error=type(error).__name__)
        return Inquiry.NO_ANSWER
    return Inquiry.ANSWERED


def ask_about(txid: str) -> bool:
    """The same; True if the bank answered now."""
    return inquire(txid) is Inquiry.ANSWERED


def may_look_up(txid: str) -> bool:
    """Whether this process may look up the payment now, once in 5 s. True counts as a look-up."""
    return _look_ups.allow(txid)


def settle(money: BankMoney, *, is_test: bool = False) -> ConfirmationResult | None:
    """Settle or refuse a payment, or receive money without one, as a look-up reported it.

    `is_test` tells whether the bank of test halves reported it.
    None if the transfer contradicts a receipt that is already stored, or lies in the future.
    Raises DatabaseUnavailable and ConcurrentUpdate.
    """
    end_to_end_id = money.end_to_end_id
    moment = now()
    if money.paid_at > moment + CLOCK_SKEW:
        warn_hourly("bank.paid_in_the_future", end_to_end_id)
        return None
    confirmation = Confirmation.of_money(money)
    signed = VerifiedMessage(end_to_end_id, moment, is_test)
    try:
        outcome = in_unit_of_work(lambda work: receiving.take(work, confirmation, signed))
    except NotificationConflict as error:
        warn_hourly("bank.contradicts_itself", end_to_end_id, detail=error.detail)
        return None
    if outcome.duplicate:
        return outcome
    if outcome.refusal is None:
        log.info("bank.look_up_settled", payment=money.txid, id=end_to_end_id)
    else:
        log.info(
            "bank.look_up_refused", payment=money.txid, id=end_to_end_id, code=outcome.refusal.code
        )
    return outcome
