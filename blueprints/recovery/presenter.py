"""What the doors of recovery answer, as plain objects."""

from __future__ import annotations

from typing import Any

from blueprints.recovery import texts
from blueprints.recovery.lookup import LookupResult
from blueprints.recovery.payment_state import Action, PaymentState
from core.clock import rfc3339
from core.money import json_number
from db_models import Payment, PaymentStatus
from payments.lifecycle import remaining_ms
from payments.routes import presenter
from repository.recovery_lookups import BILL_NUMBER_LENGTH

STATUS_WORDS = {
    PaymentStatus.PENDING: "pending",
    PaymentStatus.CONFIRMED: "completed",
    PaymentStatus.EXPIRED: "expired",
    PaymentStatus.CANCELLED: "failed",
}
"""The four words of a session, by a payment's status."""


def bill_number(payment: Payment) -> str:
    """The payment's number where a bill's is asked for: the first 25 digits of its id."""
    return payment.txid[:BILL_NUMBER_LENGTH]


def completed_at(payment: Payment) -> str | None:
    """When it was confirmed, for the wire."""
    confirmed = payment.status == PaymentStatus.CONFIRMED
    return rfc3339(payment.resolved_at) if confirmed and payment.resolved_at else None


def step_url(standing: PaymentState) -> str:
    """Where the one button leads."""
    page = presenter().page_url(standing.payment.txid)
    return {Action.RECEIPT: f"{page}/receipt", Action.RENEW: f"{page}/renew"}.get(
        standing.action, page
    )


def recovery_object(answer: LookupResult) -> dict[str, Any]:
    """How a payment stands, with the names the described system gives its fields."""
    standing, payment = answer.standing, answer.standing.payment
    told = texts.of_standing(standing)
    page = presenter().page_url(payment.txid)
    refused = standing.refused
    return {
        "success": True,
        "message": f"{told.title}. {told.body}",
        "title": told.title,
        "state": str(standing.state),
        "status": STATUS_WORDS[standing.status],
        "settled_now": answer.settled_now,
        "action": {
            "name": str(standing.action),
            "label": texts.label_of(standing.action),
            "method": "POST" if standing.action is Action.RENEW else "GET",
            "url": step_url(standing),
        },
        "kind": str(answer.by.kind),
        "session_id": payment.txid,
        "payment_id": payment.txid,
        "transaction_id": payment.txid,
        "bill_number": bill_number(payment),
        "order_id": payment.order_id,
        "payee": payment.merchant.name,
        "amount": json_number(payment.amount_centavos),
        "value": json_number(payment.amount_centavos),
        "amount_centavos": payment.amount_centavos,
        "currency": "BRL",
        "refunded_value": json_number(payment.refunded_centavos),
        "created_at": rfc3339(payment.created_at),
        "expires_at": rfc3339(payment.expires_at),
        "remaining_ms": remaining_ms(payment, standing.at),
        "completed_at": completed_at(payment),
        "reference_id": payment.end_to_end_id,
        "refused_at": rfc3339(refused.told_at) if refused else None,
        "payment_url": page,
        "receipt_url": f"{page}/receipt" if standing.action is Action.RECEIPT else None,
    }
