"""The verbs of recurring charges: create, order, schedule, refuse, fail, retry, cancel.

Each uses the unit of work of its caller and never commits. A charge is a payment with a row beside
it. Its money, its expiry and its events are the payment's (`charge_steps.follow`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from accounts import audit
from config import current_settings
from core import ids
from core.errors import ConcurrentUpdate
from core.merchant_errors import CollectionNotFound
from core.pix.business_days import brasilia_day, end_of_day, region_of, roll
from core.pix.recurrence_rules import REASON_CHARACTERS_MAX, Periodicity
from core.pix.recurring_charge_rules import (
    ACCOUNT_BLOCKED,
    AMOUNT_OVER_LIMIT,
    CANCELLED_BY_PAYEE,
    CANCELLED_BY_PAYER,
    ENDED_BY_BANK,
    MANDATE_ENDED,
    MANDATE_UNKNOWN,
    ORDER_DAYS_BEFORE,
    OTHER_FAILURE,
    REJECTING_CODES,
    cycle_of,
    last_retry_day,
)
from db_models import (
    Account,
    AttemptKind,
    AttemptStatus,
    AuditAction,
    ChargeAttempt,
    ChargeKind,
    ClosingParty,
    PaymentStatus,
    Recurrence,
    RecurrenceStatus,
    RecurringChargeStatus,
)
from payments import lifecycle, service
from payments.due_charges import DEBTOR
from payments.halves_wall import ispb_of, may_touch
from payments.recurring import charge_steps
from payments.recurring.charge_steps import (
    change_attempt,
    change_charge,
    note,
)
from payments.recurring.closings import Closing
from payments.recurring.objects import payee_object
from repository.database import Work
from repository.recurring_charges import OPEN, OPEN_ATTEMPT, RecurringChargeRecord


@dataclass(frozen=True)
class NewRecurringCharge:
    """What a merchant asks of the payer for one cycle."""

    amount_centavos: int
    due_day: date
    adjusts_day: bool
    payee_account: str
    payee_account_type: str
    payee_branch: str | None = None
    info: str | None = None
    contact: dict[str, str] | None = None
    """The debtor's e-mail and address, in the words of API Pix."""


class CollectionFailure(StrEnum):
    """Why the payer's bank could not pay."""

    NO_FUNDS = "no-funds"
    ACCOUNT_BLOCKED = "account-blocked"
    CANCELLED_BY_PAYER = "cancelled-by-payer"
    MANDATE_ENDED = "mandate-ended"


BY_PAYEE = Closing(
    CANCELLED_BY_PAYEE,
    "Cancelamento de agendamento solicitado pelo usuário recebedor",
    ClosingParty.PAYEE,
)
_BY_PAYER = Closing(
    CANCELLED_BY_PAYER,
    "Cancelamento de agendamento solicitado pelo usuário pagador",
    ClosingParty.PAYER,
)
_BY_BANK = Closing(ENDED_BY_BANK, "A autorização do pagador terminou", ClosingParty.PAYERS_BANK)
_CLOSING_OF_PARTY = {ClosingParty.PAYEE: BY_PAYEE, ClosingParty.PAYER: _BY_PAYER}
_REFUSALS = {
    "mandate-unknown": (MANDATE_UNKNOWN, "O banco do pagador não tem a autorização"),
    "mandate-ended": (MANDATE_ENDED, "A autorização do pagador terminou"),
    "amount-over-limit": (AMOUNT_OVER_LIMIT, "O valor passa do limite que o pagador definiu"),
}
_OTHER_REFUSAL = (OTHER_FAILURE, "O banco do pagador recusou a instrução")
_BLOCKED = "A conta do pagador está bloqueada"


def settlement_day(recurrence: Recurrence, new: NewRecurringCharge) -> date:
    """The day of the first attempt; holidays are those where the payer lives."""
    if not new.adjusts_day:
        return new.due_day
    return roll(new.due_day, region_of(recurrence.payer_municipality))


def create(
    work: Work,
    merchant: Account,
    recurrence: Recurrence,
    new: NewRecurringCharge,
    txid: str | None,
) -> RecurringChargeRecord:
    """Store a charge of an approved recurrence; order its first attempt if its day is near.

    The values must be checked already, and the recurrence's row be locked. Raises PixKeyMissing,
    ConcurrentUpdate if the recurrence has changed meanwhile, and LostRace if the txid is in use or
    the cycle has a charge.
    """
    # The lock holds at one node of a cluster. With the new `sequence` the end of the recurrence at
    # another node conflicts with this transaction, and one of the two begins again.
    if not work.recurrences.change(recurrence, (RecurrenceStatus.APPROVED,), {}):
        raise ConcurrentUpdate
    day = settlement_day(recurrence, new)
    last_day = last_retry_day(day) if recurrence.allows_retries else day
    payment = service.insert_payment(
        work,
        merchant,
        amount_centavos=new.amount_centavos,
        lifetime=end_of_day(last_day) - work.now,
        location_base=current_settings().location_base,
        charge_kind=ChargeKind.COBR,
        charge_txid=txid,
        charge_terms={DEBTOR: new.contact} if new.contact else None,
        has_location=False,
        br_code="",
        # The payer's bank reports each attempt, so no look-up is planned.
        look_up_at=None,
        description=new.info,
        payer_name=recurrence.debtor_name,
        payer_document=recurrence.debtor_document,
        details={},
    )
    order_at = end_of_day(day - timedelta(days=ORDER_DAYS_BEFORE + 1))
    is_near = order_at <= work.now
    charge = work.recurring_charges.insert(
        {
            "payment_id": payment.id,
            "recurrence_id": recurrence.id,
            "cycle": cycle_of(
                recurrence.first_day, Periodicity(recurrence.periodicity), new.due_day
            ),
            "due_day": new.due_day,
            "settles_on": day,
            "adjusts_day": new.adjusts_day,
            "payee_branch": new.payee_branch,
            "payee_account": new.payee_account,
            "payee_account_type": new.payee_account_type,
            "status": RecurringChargeStatus.CREATED,
            "order_at": None if is_near else order_at,
            "sequence": 1,
        }
    )
    record = RecurringChargeRecord(charge, payment, recurrence)
    if is_near:
        _request(work, record, merchant, AttemptKind.FIRST, day)
    return record


def order_first(work: Work, record: RecurringChargeRecord, merchant: Account) -> bool:
    """Order the first attempt of a charge whose time has come; False if it came too late.

    Raises ConcurrentUpdate.
    """
    created = RecurringChargeStatus.CREATED
    change_charge(work, record, created, (created,), {"order_at": None})
    if brasilia_day(work.now) > record.charge.settles_on:
        return False  # the order waited past its day; the sweep ends the charge
    day = record.charge.settles_on
    note(work, record, _request(work, record, merchant, AttemptKind.FIRST, day))
    return True


def retry(work: Work, record: RecurringChargeRecord, merchant: Account, day: date) -> None:
    """Order a further attempt; the rules must be checked already. Raises ConcurrentUpdate."""
    status = RecurringChargeStatus(record.charge.status)
    change_charge(work, record, status, OPEN)
    has_expired = record.attempts[-1].status == AttemptStatus.EXPIRED
    kind = AttemptKind.RETRY if has_expired else AttemptKind.RESEND
    note(work, record, _request(work, record, merchant, kind, day))


def _request(
    work: Work, record: RecurringChargeRecord, merchant: Account, kind: AttemptKind, day: date
) -> ChargeAttempt:
    """Store an attempt and the order for it."""
    attempt = work.recurring_charges.insert_attempt(
        {
            "payment_id": record.payment.id,
            "end_to_end_id": ids.new_end_to_end_id(ispb_of(record.payment.merchant_id), work.now),
            "kind": kind,
            "settles_on": day,
            "status": AttemptStatus.REQUESTED,
            "requested_at": work.now,
        }
    )
    record.attempts.append(attempt)
    payee = payee_object(record.recurrence, merchant)
    order_payee = {"name": payee["nome"], "document": payee["cnpj"]}
    charge_steps.order_attempt(work, record, attempt, order_payee)
    return attempt


def is_requested(work: Work, end_to_end_id: str) -> bool:
    """Whether the attempt waits for the bank's answer to its order."""
    record = work.recurring_charges.by_end_to_end_id(end_to_end_id)
    attempt = None if record is None else record.attempt_with(end_to_end_id)
    return attempt is not None and attempt.status == AttemptStatus.REQUESTED


def schedule(work: Work, end_to_end_id: str) -> None:
    """Store that the payer's bank will pay. A no-op for an attempt that has ended meanwhile."""
    record, attempt = _attempt(work, end_to_end_id)
    if attempt.status != AttemptStatus.REQUESTED:
        return
    change_charge(work, record, RecurringChargeStatus.ACTIVE, OPEN)
    change_attempt(work, attempt, AttemptStatus.SCHEDULED, (AttemptStatus.REQUESTED,))
    note(work, record, attempt)


def refuse(work: Work, end_to_end_id: str, code: str) -> None:
    """Store that the payer's bank refuses an order. A no-op for an attempt that has ended."""
    record, attempt = _attempt(work, end_to_end_id)
    if attempt.status != AttemptStatus.REQUESTED:
        return
    reason, text = _REFUSALS.get(code, _OTHER_REFUSAL)
    _reject_attempt(work, record, attempt, reason, text)


def fail(
    work: Work,
    txid: str,
    end_to_end_id: str,
    failure: CollectionFailure,
    *,
    is_test: bool = False,
) -> bool:
    """Store that an attempt brought no money; False if it had ended before.

    `txid` is that of the order, or the merchant's; `is_test` tells whether the bank of test halves
    reports it. Raises CollectionNotFound and ConcurrentUpdate.
    """
    record, attempt = _attempt(work, end_to_end_id)
    if not may_touch(record.payment.merchant_id, is_test=is_test):
        raise CollectionNotFound("No attempt has this id.")
    if txid not in (record.payment.txid, record.payment.pix_txid):
        raise CollectionNotFound("No charge with this txid has an attempt with this id.")
    if attempt.status not in OPEN_ATTEMPT or record.charge.status not in OPEN:
        return False
    if failure is CollectionFailure.ACCOUNT_BLOCKED:
        _reject_attempt(work, record, attempt, ACCOUNT_BLOCKED, _BLOCKED)
    elif failure is CollectionFailure.NO_FUNDS:
        change_charge(work, record, RecurringChargeStatus(record.charge.status), OPEN)
        change_attempt(work, attempt, AttemptStatus.EXPIRED, OPEN_ATTEMPT)
        note(work, record, attempt)
    else:
        is_by_payer = failure is CollectionFailure.CANCELLED_BY_PAYER
        closing = _BY_PAYER if is_by_payer else _BY_BANK
        _close(work, record, RecurringChargeStatus.CANCELLED, closing)
        change_attempt(work, attempt, AttemptStatus.CANCELLED, OPEN_ATTEMPT)
        note(work, record, attempt)
    return True


def cancel(work: Work, record: RecurringChargeRecord, by: Account) -> None:
    """Cancel a charge for its merchant, before its day. Raises ConcurrentUpdate.

    The caller has checked that it is open and that its day is in the future.
    """
    _end(work, record, BY_PAYEE)
    audit.record(work, by, AuditAction.PAYMENT_CANCELLED, record.payment.txid)


def end_all_of(work: Work, recurrence: Recurrence) -> None:
    """Cancel the open charges of a recurrence that has just been cancelled."""
    party = ClosingParty(recurrence.closing_party or ClosingParty.PAYERS_BANK)
    closing = _CLOSING_OF_PARTY.get(party, _BY_BANK)
    for record in work.recurring_charges.open_of(recurrence.id):
        _end(work, record, closing)


def _end(work: Work, record: RecurringChargeRecord, closing: Closing) -> None:
    """Cancel a charge with its open attempt, unless its payment has ended already."""
    if not _close(work, record, RecurringChargeStatus.CANCELLED, closing):
        return
    if not charge_steps.withdraw_attempt(work, record, AttemptStatus.CANCELLED):
        note(work, record, None)


def _reject_attempt(
    work: Work, record: RecurringChargeRecord, attempt: ChargeAttempt, code: str, text: str
) -> None:
    """Reject an attempt, and its charge where the code says so (CobRTentativas)."""
    rejected = RecurringChargeStatus.REJECTED
    ends = code in REJECTING_CODES
    if not ends or not _close(work, record, rejected, Closing(code, text)):
        change_charge(work, record, RecurringChargeStatus(record.charge.status), OPEN)
    values = {"rejection_code": code, "rejection_text": text[:REASON_CHARACTERS_MAX]}
    change_attempt(work, attempt, AttemptStatus.REJECTED, OPEN_ATTEMPT, values)
    note(work, record, attempt)


def _close(
    work: Work,
    record: RecurringChargeRecord,
    status: RecurringChargeStatus,
    closing: Closing,
) -> bool:
    """Cancel payment and charge; False for a payment past its deadline, which the sweep expires.

    Raises ConcurrentUpdate.
    """
    payment = record.payment
    if lifecycle.status_at(payment, work.now) is not PaymentStatus.PENDING:
        if payment.status == PaymentStatus.PENDING:
            return False
        raise ConcurrentUpdate  # the charge was read before its payment ended
    service.apply_change(work, payment, lifecycle.cancel(payment, work.now), None, audit.author())
    change_charge(work, record, status, OPEN, closing.columns)
    return True


def _attempt(work: Work, end_to_end_id: str) -> tuple[RecurringChargeRecord, ChargeAttempt]:
    """The attempt with its charge. Raises CollectionNotFound."""
    record = work.recurring_charges.by_end_to_end_id(end_to_end_id)
    attempt = None if record is None else record.attempt_with(end_to_end_id)
    if record is None or attempt is None:
        raise CollectionNotFound("No attempt has this id.")
    return record, attempt
