"""Open charges at real banks: call the bank after the commit, and store the code that it gives.

    insert_charge ── commit ──▶ open_at_bank ─┬─ the bank has it ──▶ open, the payment has its code
                                              ├─ it refuses ──▶ refused, the payment is cancelled
                                              └─ no usable answer ──▶ still opening, tried again

Each try sends the same txid and the same values, so a charge that was made although its answer was
lost is found again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import structlog

from core.errors import BalcaoError
from db_models import Payment, PaymentStatus, ProviderCharge, ProviderChargeStatus
from db_models.payment_event import BANK_REFUSED
from payments import lifecycle, service
from payments.at_bank import health
from payments.lifecycle import status_at
from providers.accounts import provider_of
from providers.port import (
    AccountRefusal,
    ChargeState,
    HeldCharge,
    NewCharge,
    ProviderAway,
    ProviderRefusal,
)
from repository.database import Work, in_unit_of_work, reading
from repository.provider_charges import PAUSE_MAX, PAUSE_MIN

log = structlog.get_logger()

REMOVED_AT_BANK = ProviderRefusal("removed-at-bank", "The charge was removed at the bank.")
OPENING, OPEN = ProviderChargeStatus.OPENING, ProviderChargeStatus.OPEN
CLOSING, CLOSED = ProviderChargeStatus.CLOSING, ProviderChargeStatus.CLOSED


def open_at_bank(txid: str, lease: int) -> bool:
    """Open the charge with this txid, whose lease the caller holds: `lease` is its `attempts`.

    Does nothing if another process has the lease by now, and returns False then. Raises what the
    port raises, when it is stored, so that a request that waits can tell it.
    """
    with reading() as work:
        payment = work.payments.by_txid(txid)
        charge = work.provider_charges.of_payment(payment.id)
        moment = work.now
    if charge is None or charge.status != OPENING or charge.attempts != lease:
        return False
    if status_at(payment, moment) is not PaymentStatus.PENDING:
        return in_unit_of_work(lambda work: _give_up(work, charge))
    try:
        bank_charge = provider_of(charge.account_id).open_charge(_new_charge(payment, charge))
        _check(bank_charge)
    except (ProviderAway, AccountRefusal, BalcaoError) as error:
        postpone(charge, error)
        raise
    except ProviderRefusal as refusal:
        if not _refuse(payment, charge, refusal):
            return False
        raise
    except Exception:
        postpone(charge, ProviderAway("internal"))
        raise
    if not in_unit_of_work(lambda work: _store(work, charge, bank_charge)):
        _log_lost_lease(charge)
        return False
    health.note_answer(charge.account_id)
    log.info("provider.charge_opened", txid=txid, attempts=charge.attempts)
    return True


def _new_charge(payment: Payment, charge: ProviderCharge) -> NewCharge:
    merchant = payment.merchant
    return NewCharge(
        txid=charge.txid,
        amount_centavos=charge.amount_centavos,
        pix_key=charge.pix_key,
        lifetime_seconds=charge.lifetime_seconds,
        payee_name=merchant.name,
        payee_city=merchant.city,
        text=payment.description,
        payer_name=payment.payer_name,
        payer_document=payment.payer_document,
    )


def _check(bank_charge: HeldCharge) -> None:
    """Raise what an answer means that gives no code to pay by."""
    if bank_charge.state is ChargeState.REMOVED:
        raise REMOVED_AT_BANK
    if bank_charge.state is ChargeState.ACTIVE and not bank_charge.code:
        raise ProviderAway("no-code")


def _store(work: Work, charge: ProviderCharge, bank_charge: HeldCharge) -> bool:
    """Store what the bank has, and give the payment its code if it can still be paid.

    False, and no change, if the lease was lost: its holder gets the same answer.

    The bank may not close a charge before it has it, so a payment that was cancelled meanwhile
    gets its charge closed now.
    """
    payment = work.payments.by_txid(charge.txid)
    is_payable = status_at(payment, work.now) is PaymentStatus.PENDING
    is_paid = bank_charge.state is ChargeState.PAID
    values = {
        "status": OPEN if is_payable or is_paid else CLOSING,
        "bank_created_at": bank_charge.created_at,
        "location": bank_charge.location,
        "next_at": None if is_payable or is_paid else work.now,
        "attempts": charge.attempts if is_payable or is_paid else 0,
        "fault": None,
    }
    if not work.provider_charges.change(charge.id, [OPENING], values, lease=charge.attempts):
        return False
    if is_payable and bank_charge.code:
        service.apply_change(work, payment, lifecycle.code_ready(payment, bank_charge.code))
    return True


def _give_up(work: Work, charge: ProviderCharge) -> bool:
    """Nobody can pay the payment any more; the bank may have its charge, so that is closed."""
    values = {"status": CLOSING, "next_at": work.now, "attempts": 0, "fault": None}
    return work.provider_charges.change(charge.id, [OPENING], values, lease=charge.attempts)


def _refuse(payment: Payment, charge: ProviderCharge, refusal: ProviderRefusal) -> bool:
    """The bank decided: the charge is refused and its payment cancelled, in one transaction.

    False, and no change, if the lease was lost: the bank may have accepted its holder's request.
    """

    def store(work: Work) -> bool:
        fault = refusal.code[:64]
        values = {"status": ProviderChargeStatus.REFUSED, "next_at": None, "fault": fault}
        if not work.provider_charges.change(charge.id, [OPENING], values, lease=charge.attempts):
            return False
        current = work.payments.by_txid(payment.txid)
        if status_at(current, work.now) is PaymentStatus.PENDING:
            sentence = f"The bank refused its charge: {refusal.detail or refusal.code}."
            change = lifecycle.cancel(current, work.now, sentence)
            service.apply_change(work, current, replace(change, reason=BANK_REFUSED))
        return True

    if not in_unit_of_work(store):
        _log_lost_lease(charge)
        return False
    log.warning("provider.charge_refused", txid=payment.txid, code=refusal.code)
    return True


def _log_lost_lease(charge: ProviderCharge) -> None:
    """This process stalled for longer than its lease: another one asks the bank."""
    log.warning("provider.lease_lost", txid=charge.txid, attempts=charge.attempts)


def postpone(charge: ProviderCharge, error: Exception) -> None:
    """Plan the next try, and note the failure with the account; a lost lease is left alone."""
    code = str(getattr(error, "code", "internal"))[:64]

    def store(work: Work) -> bool:
        values = {"next_at": work.now + pause_after(charge.attempts, error), "fault": code}
        status = ProviderChargeStatus(charge.status)
        return work.provider_charges.change(charge.id, [status], values, lease=charge.attempts)

    if not in_unit_of_work(store):
        _log_lost_lease(charge)
    health.note_fault(charge.account_id, code)
    log.warning("provider.charge_postponed", txid=charge.txid, code=code, attempts=charge.attempts)


def pause_after(attempts: int, error: Exception) -> timedelta:
    """The pause before the next try: doubled by each, and at least what the bank asks for."""
    growing: timedelta = PAUSE_MIN * 2 ** min(max(attempts, 1) - 1, 16)
    least = error.retry_after if isinstance(error, ProviderAway) else None
    return min(max(growing, least or timedelta(0)), PAUSE_MAX)
