"""Close charges at real banks that nobody shall pay any more.

Nothing changes a charge at its deadline (API Pix 2.9.0, CobrancaStatus), so an abandoned one stays
payable until it is removed. The bank is asked before and after: it may have been paid meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog

from accounts.access import forget_caller
from config import current_parts
from core.errors import BalcaoError
from db_models import Payment, PaymentStatus, ProviderCharge, ProviderChargeStatus
from payments.at_bank import health
from payments.at_bank.booking import book_held
from payments.at_bank.drafts import plan_closing
from payments.at_bank.opening import postpone
from payments.at_bank.waiting import turn_interrupted
from payments.lifecycle import status_at
from providers.accounts import provider_of
from providers.port import (
    UNPROVED,
    ChargeState,
    HeldCharge,
    Provider,
    ProviderAway,
    ProviderRefusal,
)
from repository.database import Work, in_unit_of_work, reading

log = structlog.get_logger()

MARGIN = timedelta(seconds=60)
"""How long after its deadline a charge is closed: the bank may still be settling a Pix."""
GIVE_UP_AFTER = timedelta(days=7)
"""How long a bank that does not answer is asked to close a charge, counted from its deadline."""
BELIEVED_AFTER = timedelta(days=1)
"""How long after its payment's end a charge counts as missing without the bank's own word."""
PLANNED_AT_ONCE = 200
ASK_SECONDS = 3.0
"""How long a merchant who cancels waits for the bank's answer."""
Result = TypeVar("Result")

OPEN, CLOSING = ProviderChargeStatus.OPEN, ProviderChargeStatus.CLOSING
CLOSED = ProviderChargeStatus.CLOSED


def plan_closings(keep_going: Callable[[], bool] = lambda: True) -> int:
    """Plan to close the open charges whose payments have ended; return how many."""
    count, after = 0, 0
    while keep_going():
        with reading() as work:
            rows = work.provider_charges.open_of_ended_payments(after, PLANNED_AT_ONCE)
            moment = work.now
        for charge, payment, offset_ms in rows:
            if moment < close_time(charge, payment, timedelta(milliseconds=offset_ms or 0)):
                continue
            count += in_unit_of_work(lambda work, row=charge.id: plan_closing(work, row))  # type: ignore[misc]
        if len(rows) < PLANNED_AT_ONCE:
            return count
        after = rows[-1][0].id
    return count


def close_time(charge: ProviderCharge, payment: Payment, offset: timedelta) -> datetime:
    """From when on the charge of a payment that has ended is closed, by our clock.

    `offset` is how far the bank's clock is ahead. A charge that was opened late ends late there.
    """
    if payment.status != PaymentStatus.EXPIRED:
        return payment.resolved_at or payment.expires_at
    deadline = payment.expires_at
    if charge.bank_created_at is not None:
        at_bank = charge.bank_created_at + timedelta(seconds=charge.lifetime_seconds) - offset
        deadline = max(deadline, at_bank)
    return deadline + MARGIN


def close_at_bank(txid: str, lease: int) -> None:
    """Close the charge with this txid, whose lease the caller holds: `lease` is its `attempts`.

    Money that came meanwhile is booked. Raises what the port raises, when it is stored.
    """
    with reading() as work:
        payment = work.payments.by_txid(txid)
        charge = work.provider_charges.of_payment(payment.id)
        moment = work.now
    if charge is None or charge.status != CLOSING or charge.attempts != lease:
        return
    try:
        bank_charge = _close(provider_of(charge.account_id), payment, moment)
    except (ProviderAway, ProviderRefusal, BalcaoError) as error:
        if moment > payment.expires_at + GIVE_UP_AFTER:
            _finish(charge, "given-up")
        else:
            postpone(charge, error)
        raise
    except Exception:
        postpone(charge, ProviderAway("internal"))
        raise
    if bank_charge is not None and (bank_charge.money or bank_charge.state is ChargeState.PAID):
        # Before the charge's status: after a crash the job asks and books again.
        book_held(charge.account_id, bank_charge)
    if bank_charge is not None and bank_charge.state is ChargeState.ACTIVE:
        still_active = ProviderAway("still-active")
        postpone(charge, still_active)
        raise still_active
    is_paid = bank_charge is not None and bank_charge.state is ChargeState.PAID
    _finish(charge, None, is_paid=is_paid)
    health.note_answer(charge.account_id)
    log.info("provider.charge_closed", txid=txid, is_paid=is_paid)


def _close(provider: Provider, payment: Payment, moment: datetime) -> HeldCharge | None:
    """Close the charge and return it as the bank then has it; None if the bank has none.

    What the bank itself does not say is believed after a day: it may be a gateway's answer while
    the bank's program is down, and the charge may still be payable.
    """
    try:
        return provider.close_charge(payment.txid)
    except ProviderAway as error:
        ended_at = payment.resolved_at or payment.expires_at
        if error.code == UNPROVED and moment > ended_at + BELIEVED_AFTER:
            return None
        raise


def _finish(charge: ProviderCharge, fault: str | None, *, is_paid: bool = False) -> None:
    status = ProviderChargeStatus.PAID if is_paid else CLOSED
    values = {"status": status, "next_at": None, "fault": fault}
    row, lease = charge.id, charge.attempts
    in_unit_of_work(lambda work: work.provider_charges.change(row, [CLOSING], values, lease=lease))


class _NotAsked(Exception):
    """The bank of a payment must be asked first."""

    def __init__(self, charge: ProviderCharge) -> None:
        super().__init__(charge.txid)
        self.charge = charge


class BankQuestion:
    """Ask the bank of a payment, before it is cancelled, whether it was paid.

    Best effort: a bank that does not answer in time keeps nobody from cancelling, because money
    that comes nevertheless is stored and can be given back.
    """

    def __init__(self) -> None:
        """Nobody was asked yet."""
        self._is_asked = False

    def before(self, work: Work, payment: Payment) -> None:
        """Leave the unit of work of `run`, if the payment's bank must be asked first."""
        if self._is_asked or payment.provider_account_id is None:
            return
        charge = work.provider_charges.of_payment(payment.id)
        is_pending = status_at(payment, work.now) is PaymentStatus.PENDING
        if charge is not None and charge.status == OPEN and is_pending:
            raise _NotAsked(charge)

    def run(self, do: Callable[[Work], Result]) -> Result:
        """Run a unit of work that calls `before`; run it again once the bank was asked.

        The second run authenticates again: a cancellation cannot be undone, so credentials that
        were revoked while the bank was asked cancel nothing. Raises what `do` raises.
        """
        try:
            return in_unit_of_work(do)
        except _NotAsked as not_asked:
            self._is_asked = True
            _ask(not_asked.charge)
            forget_caller()
            return in_unit_of_work(do)


def _ask(charge: ProviderCharge) -> None:
    """Ask in the background, so that the answer is booked also if it comes late."""
    call = current_parts().charge_calls.begin(
        charge.account_id, charge.txid, partial(_book_money, charge)
    )
    if call is not None:
        with turn_interrupted():
            call.wait(ASK_SECONDS)


def _book_money(charge: ProviderCharge) -> None:
    bank_charge = provider_of(charge.account_id).find_charge(charge.txid)
    if bank_charge is not None and (bank_charge.money or bank_charge.state is ChargeState.PAID):
        book_held(charge.account_id, bank_charge)
