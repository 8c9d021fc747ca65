"""Book money that a real bank holds: the one routine behind callbacks, polling and windows.

A real bank cannot refuse money. A Pix that fits its payment confirms it. Any other Pix becomes a
receipt without a payment, which names why in `misfit`; its merchant attaches it or gives it back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog

from config import current_parts
from core.errors import PaymentNotFound, Refused
from core.runtime.throttle import Throttle
from db_models import (
    Payment,
    PaymentStatus,
    ProviderAccount,
    ProviderCharge,
    ProviderChargeStatus,
    Receipt,
    Verdict,
)
from payments import lifecycle, receiving, service
from payments.due_charges import expected_money
from payments.paid_mail import mail_merchant
from providers.port import BankMoney, ChargeState, HeldCharge
from repository.database import Work, in_unit_of_work

log = structlog.get_logger()

MARGIN = timedelta(seconds=60)
"""How much later than the charge's lifetime its money may be, by the bank's own clock."""
REFERENCE_MAX = 25
"""A charge has a txid of 26 to 35 characters; a static code has at most 25 (API Pix 2.9.0)."""
_NAME_MAX, _DOCUMENT_MAX, _MESSAGE_MAX = 140, 14, 140


class Way(StrEnum):
    """How money was learnt of."""

    CALLBACK = "callback"
    POLL = "poll"
    WINDOW = "window"
    SHOPPER = "shopper"


class BookingResult(StrEnum):
    """What became of a Pix."""

    CONFIRMED = "confirmed"
    """It settled its payment."""
    RECEIVED = "received"
    """It is stored without a payment."""
    REPEATED = "repeated"
    """It was booked before."""
    CONTRADICTION = "contradiction"
    """A Pix with this end_to_end_id was booked before, with another amount, txid or account."""


@dataclass(frozen=True)
class Booking:
    """The result for one Pix. `txid` is that of the payment it settled or was meant for."""

    result: BookingResult
    txid: str | None = None
    misfit: str | None = None


def book_held(account_id: int, bank_charge: HeldCharge, way: Way = Way.POLL) -> Sequence[Booking]:
    """Book all money of a charge as its bank has it. Must not be called inside a unit of work.

    If the charge is paid and the answer has no money, this asks for a list. Raises
    DatabaseUnavailable and ConcurrentUpdate.
    """
    # The oldest first, so that it is the one that settles the payment.
    ordered = sorted(bank_charge.money, key=lambda money: money.paid_at)
    bookings = [
        book(account_id, replace(money, txid=bank_charge.txid), way, bank_charge.created_at)
        for money in ordered
    ]
    if bank_charge.state is ChargeState.PAID and not bookings:
        in_unit_of_work(lambda work: want_window(work, account_id))
    return bookings


def book(
    account_id: int,
    money: BankMoney,
    way: Way = Way.POLL,
    bank_created_at: datetime | None = None,
) -> Booking:
    """Book one Pix in a unit of work of its own; `account_id` is a row id.

    `bank_created_at` is the charge's `criacao`, for a charge whose first answer was lost.
    Any number of processes may book the same Pix at once: one of them stores it. Raises
    DatabaseUnavailable, and ConcurrentUpdate if others changed the payment all the time.
    """
    booking = in_unit_of_work(lambda work: _book(work, account_id, money, bank_created_at))
    _report(account_id, money, booking, way)
    return booking


def want_window(work: Work, account_id: int) -> None:
    """Ask for a list of the account's Pix, unless one is wanted already."""
    account = work.provider_accounts.find(account_id)
    if account is not None and account.window_wanted_at is None:
        work.provider_accounts.change(account_id, {"window_wanted_at": work.now})


def stored_txid(receipt: Receipt) -> str | None:
    """The txid that the bank named for this receipt."""
    return receipt.bank_payment_id or receipt.reference


def _book(
    work: Work, account_id: int, money: BankMoney, bank_created_at: datetime | None
) -> Booking:
    account = work.provider_accounts.find(account_id)
    if account is None:
        raise PaymentNotFound("This provider account does not exist.")
    charge = _charge_of(work, account, money)
    if charge is not None and charge.account_id != account.id:
        # One bank account was added twice: its money belongs to the entry that has the charge.
        account = work.provider_accounts.find(charge.account_id) or account
    payment, grace = None, timedelta(0)
    if charge is not None:
        payment, grace = work.payments.lock_by_txid(charge.txid)
    earlier = work.receipts.find_by_end_to_end_id(money.end_to_end_id)
    if earlier is not None:
        return _repeated(earlier, work.provider_accounts.entries_like(account.id), money)
    if charge is None or payment is None:
        return _receive_unclaimed(work, account, money)
    begun_at = charge.bank_created_at or bank_created_at
    work.provider_charges.change(charge.id, _PAYABLE, {**_PAID, "bank_created_at": begun_at})
    deadline = _deadline(payment, charge, begun_at, account)
    try:
        _confirm(work, payment, money, deadline + max(grace, MARGIN))
    except Refused as refusal:
        _receive(work, account, money, target=payment, misfit=refusal.code)
        return Booking(BookingResult.RECEIVED, payment.txid, refusal.code)
    work.receipts.insert({**_receipt_row(work, account, money), "payment_id": payment.id})
    mail_merchant(work, payment, money.payer_name)
    return Booking(BookingResult.CONFIRMED, payment.txid)


_PAYABLE = (
    ProviderChargeStatus.OPENING,
    ProviderChargeStatus.OPEN,
    ProviderChargeStatus.CLOSING,
)
_PAID = {"status": ProviderChargeStatus.PAID, "next_at": None, "fault": None}


def _charge_of(work: Work, account: ProviderAccount, money: BankMoney) -> ProviderCharge | None:
    if money.txid is None:
        return None
    return work.provider_charges.at_bank_of(account, money.txid, money.pix_key)


def _repeated(earlier: Receipt, entry_ids: Collection[int], money: BankMoney) -> Booking:
    """The first booking stays, whatever a later answer says, and whichever entry asked."""
    # Some lists leave the txid out.
    claim = (money.txid or stored_txid(earlier), money.amount_centavos)
    is_same = claim == (stored_txid(earlier), earlier.amount_centavos)
    if is_same and earlier.provider_account_id in entry_ids:
        return Booking(BookingResult.REPEATED, stored_txid(earlier), earlier.misfit)
    return Booking(BookingResult.CONTRADICTION)


def _confirm(work: Work, payment: Payment, money: BankMoney, deadline: datetime) -> None:
    """Confirm the payment. Raises what `lifecycle.confirm` does."""
    expected = expected_money(payment, money.amount_centavos, payment.expires_at)
    change = lifecycle.confirm(
        payment,
        amount_centavos=money.amount_centavos,
        paid_at=money.paid_at,
        end_to_end_id=money.end_to_end_id,
        grace=timedelta(0),
        now=work.now,
        expected=replace(expected, deadline=deadline),
    )
    if payment.status == PaymentStatus.EXPIRED and payment.order_id is not None:
        service.free_order(work, payment, payment.order_id)
    service.apply_change(work, payment, change)


def _deadline(
    payment: Payment,
    charge: ProviderCharge,
    bank_created_at: datetime | None,
    account: ProviderAccount,
) -> datetime:
    """When the charge ends by the bank's own clock, which may be hours ahead of ours."""
    if bank_created_at is not None:
        return bank_created_at + timedelta(seconds=charge.lifetime_seconds)
    return payment.expires_at + timedelta(milliseconds=account.clock_offset_ms or 0)


def _receive_unclaimed(work: Work, account: ProviderAccount, money: BankMoney) -> Booking:
    """Store money without a charge: for the key alone, for a static code, or for nobody's txid."""
    txid = money.txid
    if txid is None or len(txid) <= REFERENCE_MAX:
        _receive(work, account, money)
        return Booking(BookingResult.RECEIVED)
    target = work.payments.find_by_txid(txid)
    if target is not None and target.merchant_id != account.merchant_id:
        target = None
    _receive(work, account, money, target=target, misfit=PaymentNotFound.code)
    return Booking(BookingResult.RECEIVED, target.txid if target else None, PaymentNotFound.code)


def _receive(
    work: Work,
    account: ProviderAccount,
    money: BankMoney,
    *,
    target: Payment | None = None,
    misfit: str | None = None,
) -> None:
    """Store a receipt without a payment, and its event."""
    receiving.store(
        work,
        {
            **_receipt_row(work, account, money),
            "misfit": misfit,
            "meant_payment_id": target.id if target else None,
        },
    )


def _receipt_row(work: Work, account: ProviderAccount, money: BankMoney) -> dict[str, Any]:
    """The columns of an accepted receipt; without a payment until the caller adds one."""
    is_charge = money.txid is not None and len(money.txid) > REFERENCE_MAX
    document = money.payer_document
    return {
        "end_to_end_id": money.end_to_end_id,
        "bank_payment_id": money.txid if is_charge else None,
        "pix_key": None if is_charge else money.pix_key or account.pix_key,
        "reference": None if is_charge else money.txid,
        "merchant_id": account.merchant_id,
        "amount_centavos": money.amount_centavos,
        # A bank's clock may be ahead; nothing was paid in our future.
        "paid_at": min(money.paid_at, work.now),
        "told_at": work.now,
        "payer_name": money.payer_name[:_NAME_MAX] if money.payer_name else None,
        "payer_document": document if document and len(document) <= _DOCUMENT_MAX else None,
        "payer_message": money.payer_message[:_MESSAGE_MAX] if money.payer_message else None,
        "verdict": Verdict.ACCEPTED,
        "reason": None,
        "provider_account_id": account.id,
    }


def _report(account_id: int, money: BankMoney, booking: Booking, way: Way) -> None:
    """Log and count what became of the Pix; a repetition is worth no line."""
    if booking.result is BookingResult.REPEATED:
        return
    about = {"account": account_id, "id": money.end_to_end_id, "way": str(way)}
    if booking.result is BookingResult.CONTRADICTION:
        if _warnings.allow(f"{account_id} {money.end_to_end_id}"):
            log.warning("provider.contradicts_itself", **about)
        return
    metrics = current_parts().metrics.money
    metrics.receipts.labels(booking.misfit or str(booking.result)).inc()
    ledger_now = current_parts().ledger.clock.now()
    metrics.delay.labels(str(way)).observe(max(0.0, (ledger_now - money.paid_at).total_seconds()))
    log.info(
        "provider.booked",
        result=str(booking.result),
        misfit=booking.misfit,
        payment=booking.txid,
        **about,
    )


_warnings = Throttle(3600)
