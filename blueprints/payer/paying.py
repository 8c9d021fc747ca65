"""Payments by a signed-in payer: the bank takes the money and sends a notice, as any bank does.

This module confirms no payment. The page waits for the bank's signed notice, which comes
during the bank's answer or some seconds later.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import structlog

from accounts import audit
from blueprints.payer import bank_wallet
from blueprints.payer.bank_wallet import WalletDebit
from core.errors import (
    AlreadyPaid,
    BalcaoError,
    FieldError,
    InvalidRequest,
    PaymentCancelled,
)
from core.payer_errors import (
    PaymentExpired,
    PinLocked,
    PinRefused,
)
from db_models import Account, AuditAction, ChargeKind, Payment, PaymentStatus
from payments.lifecycle import status_at
from repository.database import Work, in_unit_of_work, reading

log = structlog.get_logger()

NOTICE_SECONDS = 5.0
"""How long the answer waits for the bank's notice."""
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class WalletPaymentResult:
    """A payment after the bank took the money."""

    payment: Payment
    debit: WalletDebit
    is_completed: bool


def require_payable(work: Work, payment: Payment) -> None:
    """Check that the payment can be paid now, for its own amount.

    Raises AlreadyPaid, PaymentCancelled, PaymentExpired, or InvalidRequest if it has no amount, or
    if the payer's bank collects it by itself.
    """
    status = status_at(payment, work.now)
    if status is PaymentStatus.CONFIRMED:
        raise AlreadyPaid("The payment was paid before. Nothing was paid now.")
    if status is PaymentStatus.CANCELLED:
        raise PaymentCancelled("Its merchant cancelled the payment. Nothing was paid.")
    if status is PaymentStatus.EXPIRED:
        raise PaymentExpired("The payment's deadline has passed. Nothing was paid.")
    if payment.charge_kind == ChargeKind.COBR:
        detail = "is a charge of Pix Automático: the payer's bank pays it on its day"
        raise InvalidRequest([FieldError("code", detail)])
    if needs_a_typed_amount(payment):
        detail = "is for the payer to choose: pay this code in the bank's application"
        raise InvalidRequest([FieldError("value", detail)])


def needs_a_typed_amount(payment: Payment) -> bool:
    """Whether the charge proposes no amount; the payer types one in the bank's application."""
    return payment.payer_sets_amount and payment.amount_centavos == 0


def pay(account: Account, payment: Payment, card: str | None, pin: str) -> WalletPaymentResult:
    """Pay and wait for the bank's notice, 5 s at most. Raises what `bank_wallet.pay` raises.

    Must not be called inside a unit of work.
    """
    try:
        debit = bank_wallet.pay(account, payment, card, pin)
    except (PinRefused, PinLocked) as error:
        _audit(account, AuditAction.PIN_REFUSED, payment, {"code": error.code})
        raise
    except PaymentExpired:
        # The bank finds only that the code is gone; the payment may have been paid meanwhile.
        with reading() as work:
            require_payable(work, work.payments.by_txid(payment.txid))
        raise
    log.info("payer.paid", payment=payment.txid, account=account.public_id)
    _audit_payment(account, payment, debit)
    latest = _wait_for_notice(payment.txid)
    if latest.status == PaymentStatus.CONFIRMED and latest.end_to_end_id != debit.end_to_end_id:
        raise AlreadyPaid("Another payer paid at the same moment; the bank returns your money.")
    return WalletPaymentResult(latest, debit, latest.status == PaymentStatus.CONFIRMED)


def _wait_for_notice(txid: str) -> Payment:
    """Wait until the payment is confirmed or the time is over; return its last state."""
    until = time.monotonic() + NOTICE_SECONDS
    while True:
        with reading() as work:
            payment = work.payments.by_txid(txid)
        if payment.status == PaymentStatus.CONFIRMED or time.monotonic() >= until:
            return payment
        time.sleep(LOOK_SECONDS)


def _audit_payment(account: Account, payment: Payment, debit: WalletDebit) -> None:
    if debit.is_repeated:
        return
    details = {"end_to_end_id": debit.end_to_end_id, "amount_centavos": payment.amount_centavos}
    _audit(account, AuditAction.PAYMENT_PAID, payment, details)


def _audit(
    account: Account, action: AuditAction, payment: Payment, details: dict[str, Any]
) -> None:
    """Write the audit entry; a database failure here must not change the answer."""
    try:
        in_unit_of_work(lambda work: audit.record(work, account, action, payment.txid, details))
    except BalcaoError as error:
        log.warning("payer.unnoted", payment=payment.txid, code=error.code)
