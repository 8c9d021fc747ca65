"""Giving money back: the row first, then the bank, which is asked until it has answered.

    refund ── hold the amount, write the row ──▶ processing ──┬─ the bank gave it back ──▶ done
                                                              └─ the bank refused ──▶ failed

What is held counts against the payment from the first moment, so that two refunds never give back
more than was paid; it becomes *given back* only once the bank has moved the money. A crash at any
point leaves a row that the job asks about again: the bank knows each refund by an id of its own,
and does it once however often it is told.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from accounts import audit
from config import current_settings
from core import ids
from core.clock import parse_rfc3339
from core.errors import (
    BalcaoError,
    ConcurrentUpdate,
    FieldError,
    IdempotencyConflict,
    NotRefundable,
    RefundExceedsPayment,
    RefundTooLate,
)
from core.money import plain
from db_models import Account, AuditAction, EventName, Payment, PaymentStatus, Refund, RefundStatus
from payments import bank_client
from payments.bank_client import BankAnswer, BankUnanswering
from payments.lifecycle import status_at
from payments.schemas import NewRefund
from repository.database import Work, in_unit_of_work, now, reading
from repository.events import Recorded

log = structlog.get_logger()

REFUNDABLE_FOR = timedelta(days=90)
"""From the payment on (Manual de Padrões para Iniciação do Pix, devolução)."""
REFUNDS_MAX = 100
"""Of one payment, failed ones included: a list of them is one page."""
TURN = timedelta(seconds=12)
"""How long whoever asks has the turn: longer than the bank's answer may take."""
PAUSE_MIN, PAUSE_MAX = timedelta(seconds=2), timedelta(minutes=10)
BATCH, PART_SECONDS, UNANSWERED_MAX = 50, 5.0, 3

_RETURN_ID = re.compile(r"[A-Za-z0-9._:\-]{1,64}", re.ASCII)
_REASON = re.compile(r"[a-z0-9\-]{1,64}", re.ASCII)
_FAILED_AT_BANK = "refund-failed"


@dataclass(frozen=True)
class RefundReport:
    """What the bank says of one refund."""

    status: RefundStatus
    return_id: str | None
    reason: str | None
    settled_at: datetime | None


def refund(work: Work, payment: Payment, asked: NewRefund, by: Account) -> tuple[Refund, bool]:
    """A refund that waits for the bank, and whether it was asked for before under the same name.

    Without `value` it is all that is left; `by` is the merchant who asks. Call `tell_bank` after
    the commit. Raises NotRefundable, RefundExceedsPayment, RefundTooLate, IdempotencyConflict, and
    LostRace where the same name came twice at once.
    """
    if asked.refund_id is not None:
        known = work.refunds.find(payment.id, asked.refund_id)
        if known is not None:
            _check_same(known, asked)
            return known, True
    _check_refundable(work, payment)
    left = work.refunds.remaining_centavos(payment.id)
    amount = left if asked.value is None else asked.value
    if left == 0:
        raise NotRefundable("Nothing is left of this payment: all of it went, or goes, back.")
    if not work.refunds.hold(payment.id, amount):
        raise RefundExceedsPayment(f"Only {plain(left)} is left of this payment.")
    if len(work.refunds.of_payment(payment.id)) >= REFUNDS_MAX:
        raise NotRefundable(f"A payment has at most {REFUNDS_MAX} refunds.")
    row = {
        "payment_id": payment.id,
        "refund_id": asked.refund_id or ids.new_public_id(),
        "bank_refund_id": ids.new_public_id(),
        "amount_centavos": amount,
        "is_rest": asked.value is None,
        "description": asked.description,
        "status": RefundStatus.PROCESSING,
        "requested_at": work.now,
        # Ours to ask about at once; the job's, should this process die before it does.
        "ask_at": work.now + TURN,
        "attempts": 1,
    }
    made = Refund(**row)
    made.id = work.refunds.insert(row)
    details = {"payment": payment.txid, "amount_centavos": amount}
    audit.record(work, by, AuditAction.REFUND_ASKED, made.refund_id, details)
    return made, False


def refund_whole(work: Work, payment: Payment, by: Account) -> Refund:
    """A refund of all that is left of a payment; call `tell_bank` after the commit.

    Raises NotRefundable and RefundTooLate.
    """
    made, _ = refund(work, payment, NewRefund(), by)
    return made


def _check_same(known: Refund, asked: NewRefund) -> None:
    differing = []
    same_amount = known.is_rest if asked.value is None else known.amount_centavos == asked.value
    if not same_amount or known.is_rest != (asked.value is None):
        differing.append("value")
    if known.description != asked.description:
        differing.append("description")
    if differing:
        raise IdempotencyConflict(
            f"This refund_id came before with other values of: {', '.join(differing)}.",
            [FieldError(name, "differs from the first request") for name in differing],
        )


def _check_refundable(work: Work, payment: Payment) -> None:
    settings = current_settings()
    if payment.status != PaymentStatus.CONFIRMED:
        status = status_at(payment, work.now)
        raise NotRefundable(f"Only a confirmed payment can be refunded; this one is {status}.")
    if not settings.asks_bank:
        raise NotRefundable("No bank is set up to give money back: BANK_URL is missing.")
    receipt = work.receipts.accepted_of(payment.id)
    if receipt is not None and work.now - receipt.paid_at > REFUNDABLE_FOR:
        raise RefundTooLate


def tell_bank(row: int) -> bool:
    """Tell the bank of the refund with this row id, and write down what it answers.

    Gives whether it is settled now. A bank or a database that is away changes nothing: the job
    asks again. Must not be called inside a unit of work.
    """
    try:
        return _ask(row)
    except BankUnanswering as error:
        log.info("refunds.unanswered", refund=row, why=str(error)[:200])
    except BalcaoError as error:
        log.warning("refunds.postponed", refund=row, code=error.code)
    return False


def run(keep_going: Callable[[], bool] = lambda: True) -> int:
    """Ask about the refunds that are due, a bounded batch at once; gives how many were settled.

    Any number of processes may run it: each refund is one's alone for 12 s.
    """
    until = time.monotonic() + PART_SECONDS
    with reading() as work:
        due = work.refunds.ids_due(work.now, BATCH)
    settled = unanswered = 0
    for row in due:
        if time.monotonic() > until or unanswered >= UNANSWERED_MAX or not keep_going():
            break
        if not _take(row):
            continue
        try:
            settled += _ask(row)
            unanswered = 0
        except BankUnanswering:
            unanswered += 1
    return settled


def _take(row: int) -> bool:
    return in_unit_of_work(lambda work: work.refunds.acquire(row, work.now, work.now + TURN))


def _ask(row: int) -> bool:
    """Ask, and write the answer or when to ask again. Raises BankUnanswering."""
    with reading() as work:
        made, payment = work.refunds.with_payment(row)
    if made.status != RefundStatus.PROCESSING:
        return True
    try:
        told = _told(made, payment, _ordered(made, payment))
    except BankUnanswering:
        _ask_later(made)
        raise
    if told.status is RefundStatus.PROCESSING:
        _ask_later(made)
        return False
    in_unit_of_work(lambda work: settle(work, row, told))
    return True


def _ordered(made: Refund, payment: Payment) -> BankAnswer:
    body = {
        "end_to_end_id": payment.end_to_end_id,
        "refund_id": made.bank_refund_id,
        "value": plain(made.amount_centavos),
    }
    return bank_client.order("refund", "/api/refunds", body)


def _told(made: Refund, payment: Payment, answer: BankAnswer) -> RefundReport:
    """What the answer says of this refund. Raises BankUnanswering where it says nothing."""
    members = answer.members
    if answer.status >= 400:
        code = members.get("code")
        # An address the bank does not have says nothing of the money.
        if not isinstance(code, str) or not _REASON.fullmatch(code) or code == "not-found":
            raise BankUnanswering(f"it answered {answer.status} without a reason", answer.status)
        return RefundReport(RefundStatus.FAILED, None, code, None)
    expected = (made.bank_refund_id, payment.end_to_end_id, made.amount_centavos)
    named = tuple(members.get(name) for name in ("refund_id", "end_to_end_id", "amount_centavos"))
    if named != expected:
        raise BankUnanswering("it answered for another refund", answer.status)
    return_id = members.get("return_id")
    try:
        status = RefundStatus(str(members.get("status")))
    except ValueError:
        raise BankUnanswering("it gave a status that is none", answer.status) from None
    if status is RefundStatus.DONE and not _is_return_id(return_id):
        raise BankUnanswering("it gave money back without a return_id", answer.status)
    return RefundReport(
        status,
        return_id if _is_return_id(return_id) else None,
        _FAILED_AT_BANK if status is RefundStatus.FAILED else None,
        _instant(members.get("settled_at")),
    )


def settle(work: Work, row: int, told: RefundReport) -> None:
    """Write how a refund ended, and what that means for its payment; the first ending counts."""
    done = told.status is RefundStatus.DONE
    settled_at = min(told.settled_at or work.now, work.now)
    values = {
        "status": told.status,
        "return_id": told.return_id if done else None,
        "reason": told.reason,
        "settled_at": settled_at,
    }
    if not work.refunds.settle(row, values):
        return
    made, payment = work.refunds.with_payment(row)
    move = work.refunds.complete_hold if done else work.refunds.release_hold
    if not move(payment.id, made.amount_centavos):
        raise ConcurrentUpdate
    # Its row is ours from the change on: only now is its number the one of this event.
    made, payment = work.refunds.with_payment(row)
    amount = plain(made.amount_centavos)
    if done:
        name, message = (
            EventName.PAYMENT_REFUNDED,
            f"{amount} BRL of the payment has been given back.",
        )
    else:
        name = EventName.REFUND_FAILED
        message = f"{amount} BRL could not be given back."
    work.record(
        Recorded(
            name=name,
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            txid=payment.txid,
            status=str(payment.status),
            sequence=payment.sequence,
            occurred_at=work.now,
            message=message,
        )
    )


def _ask_later(made: Refund) -> None:
    """Ever more rarely, the older the refund is."""
    moment = now()
    pause = min(max((moment - made.requested_at) / 2, PAUSE_MIN), PAUSE_MAX)
    in_unit_of_work(lambda work: work.refunds.ask_again(made.id, moment + pause))


def _is_return_id(value: Any) -> bool:
    return isinstance(value, str) and _RETURN_ID.fullmatch(value) is not None


def _instant(value: Any) -> datetime | None:
    try:
        return parse_rfc3339(value) if isinstance(value, str) else None
    except ValueError:
        return None
