"""Build the JSON objects of recovery's API."""

from __future__ import annotations

from typing import Any

from blueprints.recovery import texts
from blueprints.recovery.lookup import LookupResult
from core.clock import rfc3339
from core.money import json_number
from db_models import Payment, PaymentStatus
from payments.due_charges import amount_at
from payments.lifecycle import remaining_ms
from payments.routes import presenter
from payments.standing import Action, PaymentState
from repository.recovery_lookups import BILL_NUMBER_LENGTH

STATUS_WORDS = {
    PaymentStatus.PENDING: "pending",
    PaymentStatus.CONFIRMED: "completed",
    PaymentStatus.EXPIRED: "expired",
    PaymentStatus.CANCELLED: "failed",
}
"""A session's `status`, by the payment's status."""


def bill_number(payment: Payment) -> str:
    """The `bill_number`: the first 25 digits of the payment's id."""
    return payment.txid[:BILL_NUMBER_LENGTH]


def completed_at(payment: Payment) -> str | None:
    """When the payment was confirmed (RFC 3339)."""
    is_confirmed = payment.status == PaymentStatus.CONFIRMED
    return rfc3339(payment.resolved_at) if is_confirmed and payment.resolved_at else None


def step_url(payment_state: PaymentState) -> str:
    """The URL of the next step."""
    page = presenter().page_url(payment_state.payment.txid)
    return {Action.RECEIPT: f"{page}/receipt", Action.RENEW: f"{page}/renew"}.get(
        payment_state.action, page
    )


def recovery_object(result: LookupResult) -> dict[str, Any]:
    """The answer to a lookup, with the field names of the described system."""
    payment_state, payment = result.payment_state, result.payment_state.payment
    message = texts.of_payment_state(payment_state)
    page = presenter().page_url(payment.txid)
    refused_receipt = payment_state.refused_receipt
    return {
        "success": True,
        "message": f"{message.title}. {message.body}",
        "title": message.title,
        "state": str(payment_state.state),
        "status": STATUS_WORDS[payment_state.status],
        "settled_now": result.settled_now,
        "action": {
            "name": str(payment_state.action),
            "label": texts.label_of(payment_state.action),
            "method": "POST" if payment_state.action is Action.RENEW else "GET",
            "url": step_url(payment_state),
        },
        "kind": str(result.reading.kind),
        "session_id": payment.txid,
        "payment_id": payment.txid,
        "transaction_id": payment.txid,
        "bill_number": bill_number(payment),
        "order_id": payment.order_id,
        "payee": payment.merchant.name,
        "amount": json_number(amount_at(payment, payment_state.at)),
        "value": json_number(amount_at(payment, payment_state.at)),
        "amount_centavos": amount_at(payment, payment_state.at),
        "currency": "BRL",
        "refunded_value": json_number(payment.refunded_centavos),
        "created_at": rfc3339(payment.created_at),
        "expires_at": rfc3339(payment.expires_at),
        "remaining_ms": remaining_ms(payment, payment_state.at),
        "completed_at": completed_at(payment),
        "reference_id": payment.end_to_end_id,
        "refused_at": rfc3339(refused_receipt.told_at) if refused_receipt else None,
        "payment_url": page,
        "receipt_url": f"{page}/receipt" if payment_state.action is Action.RECEIPT else None,
    }
