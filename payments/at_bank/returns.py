"""Returns of money at real banks, as the bank has them: ours, and those of the bank's own making.

A bank gives money back without an order of ours by MED, or because the merchant asked in the bank's
app. Such a return is a refund with `by_bank`. Money without a payment gets one of its own first,
because refunds have one procedure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from core import ids
from core.errors import ConcurrentUpdate
from core.receipt_errors import ReceiptNotAttachable
from db_models import Payment, Receipt, Refund, RefundStatus, Verdict
from payments import attaching, refunds
from payments.refund_reports import foreign_ids, report_of
from providers.port import BankMoney, BankReturn, ReturnState
from repository.database import Work, in_unit_of_work
from repository.refunds import PAUSE_MIN

log = structlog.get_logger()

AGAIN, AGAIN_MAX, EXCEEDS_AGAIN_MAX = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=6),
)
"""The pause before a return that does not fit is tried again doubles: to the second while our own
pending refunds hold the money, and to the third while it exceeds what is left of its payment."""
EXCEEDS = "return-exceeds"
"""The misfit of a return of more than is left of its payment."""
_NATURE_MAX = 32


@dataclass(frozen=True)
class UnfitReturn:
    """A return that cannot be booked now."""

    amount_centavos: int
    misfit: str | None
    """EXCEEDS if more goes back than is left of the payment, whatever becomes of our own refunds;
    None if our own pending refunds hold the money."""


def book_returns(account_id: int, money: BankMoney) -> UnfitReturn | None:
    """Book what the bank says of the returns of a Pix that is booked.

    Returns one that cannot be booked now, the one that never fits first: try again later. Must not
    be called inside a unit of work. Raises DatabaseUnavailable and ConcurrentUpdate.
    """
    if not money.returns:
        return None
    return in_unit_of_work(lambda work: _book(work, account_id, money))


def are_booked(refunds_of_payment: Sequence[Refund], returns: Sequence[BankReturn]) -> bool:
    """Whether nothing of these returns is news."""
    return all(_is_booked(refunds_of_payment, one) for one in returns)


def _is_booked(refunds_of_payment: Sequence[Refund], one: BankReturn) -> bool:
    refund = _refund_of(refunds_of_payment, one)
    if refund is None:
        return one.state is ReturnState.FAILED
    return refund.status != RefundStatus.PROCESSING or one.state is ReturnState.PROCESSING


def _book(work: Work, account_id: int, money: BankMoney) -> UnfitReturn | None:
    receipt = work.receipts.find_by_end_to_end_id(money.end_to_end_id)
    if receipt is None or receipt.verdict != Verdict.ACCEPTED:
        return None
    if receipt.provider_account_id not in work.provider_accounts.entries_like(account_id):
        return None
    payment = _payment_of(work, receipt, money.returns)
    if payment is None:
        return None
    # Locks the payment, so that two processes do not book one return at once.
    work.refunds.remaining_centavos(payment.id)
    earlier = work.refunds.of_payment(payment.id)
    unfit = [_book_one(work, payment, earlier, one) for one in money.returns]
    left_over = [one for one in unfit if one is not None]
    return min(left_over, key=lambda one: one.misfit is None, default=None)


def _payment_of(work: Work, receipt: Receipt, returns: Sequence[BankReturn]) -> Payment | None:
    """The payment of the money; a new one of its own if it has none and money goes back.

    Raises ConcurrentUpdate if the money gets another payment meanwhile.
    """
    if receipt.payment_id is not None:
        return work.payments.by_row_ids({receipt.payment_id}).get(receipt.payment_id)
    merchant = work.accounts.find(receipt.merchant_id) if receipt.merchant_id else None
    if merchant is None or all(one.state is ReturnState.FAILED for one in returns):
        return None
    try:
        return attaching.own_payment(work, merchant, receipt)
    except ReceiptNotAttachable:
        # Another process, or its merchant, gave it a payment meanwhile: the next try reads that.
        raise ConcurrentUpdate from None


def _book_one(
    work: Work, payment: Payment, earlier: Sequence[Refund], one: BankReturn
) -> UnfitReturn | None:
    refund = _refund_of(earlier, one)
    if refund is None:
        return None if one.state is ReturnState.FAILED else _insert(work, payment, one)
    if refund.amount_centavos != one.amount_centavos:
        log.warning("provider.return_differs", payment=payment.txid, id=one.id[:64])
        return None
    if refund.status == RefundStatus.PROCESSING and one.state is not ReturnState.PROCESSING:
        refunds.settle(work, refund.id, report_of(one))
    return None


def _refund_of(earlier: Sequence[Refund], one: BankReturn) -> Refund | None:
    """The refund that the bank means: by our id there, or by the bank's own id.

    A return that is done although we stored the refund as failed is another one of the bank's.
    """
    foreign = foreign_ids(one.id)
    candidates = [
        refund
        for refund in earlier
        if refund.bank_refund_id == one.id or (refund.by_bank and refund.refund_id in foreign)
    ]
    if one.state is ReturnState.DONE:
        candidates = [refund for refund in candidates if refund.status != RefundStatus.FAILED]
    return candidates[0] if candidates else None


def _insert(work: Work, payment: Payment, one: BankReturn) -> UnfitReturn | None:
    """Store a return of the bank's making, unless more goes back than is left."""
    if not work.refunds.hold(payment.id, one.amount_centavos):
        left_centavos = payment.amount_centavos - payment.refunded_centavos
        misfit = EXCEEDS if one.amount_centavos > left_centavos else None
        log.warning(
            "provider.return_does_not_fit", payment=payment.txid, id=one.id[:64], misfit=misfit
        )
        return UnfitReturn(one.amount_centavos, misfit)
    refund_id, other_id = foreign_ids(one.id)
    if work.refunds.find(payment.id, refund_id) is not None:
        refund_id = other_id
    row: dict[str, Any] = {
        "payment_id": payment.id,
        "refund_id": refund_id,
        "bank_refund_id": ids.new_public_id(),
        "amount_centavos": one.amount_centavos,
        "is_rest": False,
        "status": RefundStatus.PROCESSING,
        "requested_at": work.now,
        "ask_at": work.now + PAUSE_MIN,
        "attempts": 1,
        "by_bank": True,
        "nature": one.nature[:_NATURE_MAX] if one.nature else None,
    }
    refund_row = work.refunds.insert(row)
    log.info("provider.returned_by_bank", payment=payment.txid, nature=row["nature"])
    if one.state is ReturnState.DONE:
        refunds.settle(work, refund_row, report_of(one))
    return None
