"""Refunds: store the row first, then send the order to the bank until the bank answers.

    request_refund ── reserve the amount, insert the row ──▶ processing ─┬─ bank paid ──▶ done
                                                                         └─ bank refused ──▶ failed

A reserved amount counts as refunded from the start, so that two refunds never return more than was
paid. After a crash at any point the job sends the order again: each refund has one id at the bank,
and the bank executes each id once.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from accounts import audit
from config import current_parts
from core import ids
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
from payments import refund_reports, snapshots
from payments.lifecycle import status_at
from payments.location import ORIGINAL
from payments.pix_objects import return_id_of
from payments.refund_reports import RefundReport, foreign_ids
from payments.schemas import NewRefund
from providers.accounts import provider_of, signing_bank_of, signing_banks
from providers.port import AccountRefusal, BankReturn, ProviderAway, ProviderRefusal, SigningBank
from repository.bank_leases import LEASE as BANK_LEASE
from repository.bank_leases import BankLease
from repository.database import Work, in_unit_of_work, now, reading
from repository.events import StoredEvent
from repository.refunds import LEASE, PAUSE_MAX, PAUSE_MIN

log = structlog.get_logger()

REFUNDABLE_FOR = timedelta(days=90)
"""Counted from `paid_at` (Manual de Padrões para Iniciação do Pix, devolução)."""
REFUNDS_MAX = 100
"""Per payment, failed refunds included, so that a list of refunds fits on one page."""
BATCH, PART_SECONDS, UNANSWERED_MAX = 50, 5.0, 3
WAIT_SECONDS = 6.0
DECIDED_AFTER = timedelta(minutes=1)
"""Until when the refusal of a repeated order is not believed: an earlier order may be carried out
although the bank does not show it yet, and a bank may refuse an id that it has."""


class RefundPart(enum.Enum):
    """A part of a payment with a withdrawal of cash; each part limits its own refunds."""

    PURCHASE = "purchase"
    WITHDRAWAL = "withdrawal"


def request_refund(
    work: Work,
    payment: Payment,
    new_refund: NewRefund,
    by: Account,
    part: RefundPart | None = None,
) -> tuple[Refund, bool]:
    """Insert a refund; returns the refund and whether the same request had inserted it before.

    Without `value` the refund takes everything that is left. `by` is the merchant. `part` limits
    the refund to a part of the payment (API Pix 2.9.0, DevolucaoSolicitada). Call `tell_bank` after
    the commit. Raises NotRefundable, RefundExceedsPayment, RefundTooLate,
    IdempotencyConflict, and LostRace if two requests with one `refund_id` arrive together.
    """
    if new_refund.refund_id is not None:
        earlier_refund = work.refunds.find(payment.id, new_refund.refund_id)
        if earlier_refund is not None:
            _check_same(earlier_refund, new_refund, part)
            return earlier_refund, True
    _check_refundable(work, payment)
    remaining = work.refunds.remaining_centavos(payment.id)
    amount = remaining if new_refund.value is None else new_refund.value
    if remaining == 0:
        raise NotRefundable("Nothing is left to refund: the whole payment is refunded or reserved.")
    if not work.refunds.hold(payment.id, amount):
        raise RefundExceedsPayment(f"Only {plain(remaining)} is left of this payment.")
    earlier_refunds = work.refunds.of_payment(payment.id)
    if len(earlier_refunds) >= REFUNDS_MAX:
        raise NotRefundable(f"A payment has at most {REFUNDS_MAX} refunds.")
    if part is not None:
        _check_part(payment, part, amount, earlier_refunds)
    row = {
        "payment_id": payment.id,
        "refund_id": new_refund.refund_id or ids.new_public_id(),
        "bank_refund_id": ids.new_public_id(),
        "amount_centavos": amount,
        "is_rest": new_refund.value is None,
        "description": new_refund.description,
        "of_withdrawal": part is RefundPart.WITHDRAWAL,
        "status": RefundStatus.PROCESSING,
        "requested_at": work.now,
        # This process sends the order at once. If it dies, the job sends it after the lease.
        "ask_at": work.now + (LEASE if _account_of(work, payment) is None else BANK_LEASE),
        "attempts": 1,
        "by_bank": False,
    }
    refund = Refund(**row)
    refund.id = work.refunds.insert(row)
    details = {"payment": payment.txid, "amount_centavos": amount}
    audit.record(work, by, AuditAction.REFUND_ASKED, refund.refund_id, details)
    return refund, False


def request_full_refund(work: Work, payment: Payment, by: Account) -> Refund:
    """As `request_refund`, of everything that is left. Raises NotRefundable and RefundTooLate."""
    return request_refund(work, payment, NewRefund(), by)[0]


def _check_part(
    payment: Payment, part: RefundPart, amount: int, earlier_refunds: Sequence[Refund]
) -> None:
    """Raise RefundExceedsPayment if the refunds of this part would pass it.

    The payment's row is locked, so no other refund comes in between.
    """
    purchase = int((payment.charge_terms or {}).get(ORIGINAL, payment.amount_centavos))
    of_withdrawal = part is RefundPart.WITHDRAWAL
    limit = payment.amount_centavos - purchase if of_withdrawal else purchase
    used = sum(
        refund.amount_centavos
        for refund in earlier_refunds
        if refund.status != RefundStatus.FAILED and refund.of_withdrawal == of_withdrawal
    )
    if used + amount > limit:
        raise RefundExceedsPayment(
            f"Only {plain(max(0, limit - used))} is left of the {part.value}."
        )


def _check_same(earlier_refund: Refund, new_refund: NewRefund, part: RefundPart | None) -> None:
    differences = []
    takes_rest = new_refund.value is None
    is_same_amount = takes_rest or earlier_refund.amount_centavos == new_refund.value
    if earlier_refund.is_rest != takes_rest or not is_same_amount:
        differences.append("value")
    if earlier_refund.description != new_refund.description:
        differences.append("description")
    if earlier_refund.of_withdrawal != (part is RefundPart.WITHDRAWAL):
        differences.append("natureza")
    if differences:
        raise IdempotencyConflict(
            f"An earlier refund with this refund_id has another {' and '.join(differences)}.",
            [FieldError(name, "differs from the first request") for name in differences],
        )


def _check_refundable(work: Work, payment: Payment) -> None:
    if payment.status != PaymentStatus.CONFIRMED:
        status = status_at(payment, work.now)
        raise NotRefundable(f"Only a confirmed payment can be refunded; this one is {status}.")
    receipt = work.receipts.accepted_of(payment.id)
    is_at_bank = receipt is not None and receipt.provider_account_id is not None
    if not is_at_bank and signing_bank_of(payment.merchant_id) is None:
        raise NotRefundable("Refunds need a bank: set BANK_URL, or TEST_BANK_URL for tests.")
    if receipt is not None and work.now - receipt.paid_at > REFUNDABLE_FOR:
        raise RefundTooLate


def tell_bank(row: int) -> bool:
    """Send the refund with this row id to the bank and store the answer; True once it is settled.

    If the bank or the database is unavailable, the job tries again later; a real bank is waited
    for at most WAIT_SECONDS. Must not be called inside a unit of work.
    """
    with reading() as work:
        _, payment = work.refunds.with_payment(row)
        account_id = _account_of(work, payment)
    if account_id is not None:
        return _send_in_background(account_id, row)
    try:
        return send_order(row)
    except ProviderAway as error:
        log.info("refunds.unanswered", refund=row, why=str(error)[:200])
    except BalcaoError as error:
        log.warning("refunds.postponed", refund=row, code=error.code)
    return False


def _send_in_background(account_id: int, row: int) -> bool:
    """Send the refund to a real bank, and wait a little; the call goes on without the waiter."""
    calls = current_parts().charge_calls
    lease = BankLease(1, refund_row=row)
    call = calls.begin(account_id, f"refund {row}", lambda: send_order(row, lease.attempts), lease)
    if call is None or not call.wait(WAIT_SECONDS) or call.error is not None:
        log.info("refunds.unanswered", refund=row, account=account_id)
        return False
    with reading() as work:
        refund, _ = work.refunds.with_payment(row)
    return refund.status != RefundStatus.PROCESSING


def _account_of(work: Work, payment: Payment) -> int | None:
    """The account of the real bank that has the payment's money; None for the simulated bank.

    Money without a payment may have been attached to a payment of another bank.
    """
    receipt = work.receipts.accepted_of(payment.id)
    return None if receipt is None else receipt.provider_account_id


def run(keep_going: Callable[[], bool] = lambda: True) -> int:
    """Send one batch of due refunds to each signing bank; returns how many were settled.

    Any number of processes may run it: each refund is leased to one process for 12 s.
    """
    return sum(_run_at(bank, keep_going) for bank in signing_banks())


def _run_at(bank: SigningBank, keep_going: Callable[[], bool]) -> int:
    deadline = time.monotonic() + PART_SECONDS
    with reading() as work:
        due_rows = work.refunds.ids_due(work.now, BATCH, None, bank.half)
    settled = unanswered = 0
    for row in due_rows:
        if time.monotonic() > deadline or unanswered >= UNANSWERED_MAX or not keep_going():
            break
        if not _acquire_lease(row):
            continue
        try:
            settled += send_order(row)
            unanswered = 0
        except ProviderAway:
            unanswered += 1
    return settled


def _acquire_lease(row: int) -> bool:
    return in_unit_of_work(lambda work: work.refunds.acquire(row, work.now, work.now + LEASE))


def send_order(row: int, lease: int | None = None) -> bool:
    """Send the order; store the answer or the time of the next try. Raises ProviderAway.

    With `lease` it does nothing once another process has acquired the refund: the bank may refuse
    one order and carry out the next one with the same id.
    """
    with reading() as work:
        refund, payment = work.refunds.with_payment(row)
        account_id = _account_of(work, payment)
    if refund.status != RefundStatus.PROCESSING:
        return True
    if lease is not None and refund.attempts != lease:
        return False
    try:
        report = _give_back(refund, payment, account_id)
    except (ProviderAway, BalcaoError):
        _schedule_retry(refund)
        raise
    if report.status is RefundStatus.PROCESSING:
        _schedule_retry(refund)
        return False
    in_unit_of_work(lambda work: settle(work, row, report, lease))
    return True


def _give_back(refund: Refund, payment: Payment, account_id: int | None) -> RefundReport:
    """Ask the bank to return the money; a refusal is a report too. Raises ProviderAway."""
    end_to_end_id = payment.end_to_end_id or ""
    # API Pix shows this rtrId before the bank has answered; a bank may choose its own.
    return_id = return_id_of(refund, payment.end_to_end_id)
    try:
        if account_id is not None:
            return refund_reports.report_of(_ask_bank(refund, end_to_end_id, account_id))
        bank = signing_bank_of(payment.merchant_id)
        if bank is None:
            raise ProviderAway("no-bank", was_sent=False)
        answer = bank.give_back(
            end_to_end_id, refund.bank_refund_id, refund.amount_centavos, return_id
        )
    except AccountRefusal as refusal:
        # A person must look at the account; the bank has not decided about this refund.
        raise ProviderAway(refusal.code, was_sent=False) from refusal
    except ProviderRefusal as refusal:
        if refund.attempts > 1 and now() - refund.requested_at < DECIDED_AFTER:
            raise ProviderAway(refusal.code) from refusal
        return RefundReport(
            RefundStatus.FAILED, None, refund_reports.reason_code(refusal.code), None
        )
    return refund_reports.report_of_order(answer)


def _ask_bank(refund: Refund, end_to_end_id: str, account_id: int) -> BankReturn:
    """Order the return at a real bank, or ask how it stands. Raises what the port raises.

    The first answer may have been lost, so a repetition asks first. A return of the bank's own
    making is only asked about.
    """
    provider = provider_of(account_id)
    if refund.by_bank:
        answer = provider.find_return(end_to_end_id, refund.refund_id)
        # A bank may tell of it within the Pix only, or by an id that is a hash here.
        money = provider.find_money(end_to_end_id) if answer is None else None
        for one in money.returns if money is not None else ():
            if refund.refund_id in foreign_ids(one.id):
                return one
        if answer is None:
            raise ProviderAway("no-such-return")
        return answer
    if refund.attempts > 1:
        answer = provider.find_return(end_to_end_id, refund.bank_refund_id)
        if answer is not None and answer.amount_centavos != refund.amount_centavos:
            raise ProviderAway("return-differs")  # never settle another amount than was ordered
        if answer is not None:
            return answer
    return provider.give_back(end_to_end_id, refund.bank_refund_id, refund.amount_centavos)


def settle(work: Work, row: int, report: RefundReport, lease: int | None = None) -> None:
    """Store the final status of a refund and update its payment. A second call is a no-op.

    So is one whose `lease` another process has acquired meanwhile.
    """
    is_done = report.status is RefundStatus.DONE
    values = {
        "status": report.status,
        "return_id": _own_return_id(work, row, report.return_id) if is_done else None,
        "reason": report.reason,
        "settled_at": min(report.settled_at or work.now, work.now),
    }
    if not work.refunds.settle(row, values, lease):
        return
    refund, payment = work.refunds.with_payment(row)
    move = work.refunds.complete_hold if is_done else work.refunds.release_hold
    if not move(payment.id, refund.amount_centavos):
        raise ConcurrentUpdate
    # The update has locked the payment, so `sequence` read now is the number of this event.
    refund, payment = work.refunds.with_payment(row)
    amount = plain(refund.amount_centavos)
    if is_done:
        name = EventName.PAYMENT_REFUNDED
        message = f"{amount} BRL of the payment has been given back."
    else:
        name = EventName.REFUND_FAILED
        message = f"{amount} BRL could not be given back."
    work.record(
        StoredEvent(
            name=name,
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            txid=payment.txid,
            status=str(payment.status),
            sequence=payment.sequence,
            occurred_at=work.now,
            message=message,
            state={
                **snapshots.of_payment(payment),
                snapshots.REFUND: row,
                snapshots.REFUNDS: {
                    str(one.id): str(one.status) for one in work.refunds.of_payment(payment.id)
                },
            },
        )
    )


def _own_return_id(work: Work, row: int, return_id: str | None) -> str:
    """The bank's id of the returned money; without `rtrId` it is unique within one Pix only."""
    if return_id is not None and not work.refunds.has_return_id(return_id, row):
        return return_id
    return work.refunds.with_payment(row)[0].bank_refund_id


def _schedule_retry(refund: Refund) -> None:
    """Set the next try: the older the refund, the longer the pause."""
    moment = now()
    pause = min(max((moment - refund.requested_at) / 2, PAUSE_MIN), PAUSE_MAX)
    in_unit_of_work(lambda work: work.refunds.ask_again(refund.id, moment + pause, refund.attempts))
