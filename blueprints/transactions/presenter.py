"""A payment as a transaction: other field names, and three states instead of four.

pending ──▶ created      confirmed ──▶ completed      expired, cancelled ──▶ failed
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from config import current_settings
from core.clock import rfc3339
from core.money import json_number
from db_models import Payment, PaymentStatus, Refund
from payments.due_charges import amount_at
from payments.lifecycle import remaining_ms, sequence_at, status_at
from payments.presenter import refund_object
from payments.routes import presenter

State = Literal["created", "completed", "failed"]

_STATE_OF: dict[PaymentStatus, State] = {
    PaymentStatus.PENDING: "created",
    PaymentStatus.CONFIRMED: "completed",
    PaymentStatus.EXPIRED: "failed",
    PaymentStatus.CANCELLED: "failed",
}


def state_of(status: PaymentStatus) -> State:
    return _STATE_OF[status]


def transaction_object(payment: Payment, now: datetime) -> dict[str, Any]:
    """A transaction as its merchant sees it."""
    status = status_at(payment, now)
    state = state_of(status)
    public_url = current_settings().public_url
    page_url = presenter().page_url(payment.txid)
    return {
        "id": payment.txid,
        "transaction_id": payment.txid,
        "code": payment.txid,
        "amount": json_number(amount_at(payment, now)),
        "amount_centavos": amount_at(payment, now),
        "currency": "BRL",
        "status": state,
        "state": state,
        "payment_status": str(status),
        "description": payment.description,
        "order_id": payment.order_id,
        "created_at": rfc3339(payment.created_at),
        "expires_at": rfc3339(payment.expires_at),
        "completed_at": _completed_at(payment),
        "refunded_amount": json_number(payment.refunded_centavos),
        "pix_code": payment.pix_code,
        "payment_url": page_url,
        "pay_url": _pay_url(payment) or page_url,
        "qr_code_url": presenter().qr_url(payment),
        "watch_code": payment.watch_code,
        "watch_url": f"{public_url}/watch/{payment.watch_code}",
        "sequence": sequence_at(payment, now),
    }


def _pay_url(payment: Payment) -> str | None:
    """Where people pay at the simulated bank; None at a real bank, whose app pays."""
    settings = current_settings()
    if payment.provider_account_id is not None:
        return None
    if settings.is_development:
        return f"{settings.public_url}/pay/{payment.txid}"
    bank = settings.bank_to_ask(is_test_half=True)
    if bank is None or presenter().is_payment_live(payment) or not payment.pix_code:
        return None
    return bank.page_of_code(payment.pix_code)


def transaction_with_refund(
    payment: Payment, refund: Refund | None, now: datetime
) -> dict[str, Any]:
    """A transaction with its newest refund."""
    body = transaction_object(payment, now)
    return {**body, "refund": None if refund is None else refund_object(refund, payment)}


def watch_object(payment: Payment, now: datetime) -> dict[str, Any]:
    """The payment's state for anybody with the watch code, without ids or personal data."""
    status = status_at(payment, now)
    return {
        "state": state_of(status),
        "status": str(status),
        "sequence": sequence_at(payment, now),
        "amount": json_number(amount_at(payment, now)),
        "amount_centavos": amount_at(payment, now),
        "currency": "BRL",
        "expires_at": rfc3339(payment.expires_at),
        "remaining_ms": remaining_ms(payment, now),
        "completed_at": _completed_at(payment),
        "checked_at": rfc3339(now),
    }


def _completed_at(payment: Payment) -> str | None:
    if payment.status != PaymentStatus.CONFIRMED or payment.resolved_at is None:
        return None
    return rfc3339(payment.resolved_at)
