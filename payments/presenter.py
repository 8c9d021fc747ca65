"""A payment as the wire shows it: one place that knows the object's fields."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.clock import rfc3339
from core.money import json_number
from db_models import Payment, PaymentStatus, Receipt, Refund
from payments.lifecycle import remaining_ms, sequence_at, status_at

QR_PREFIX = "qr_code_payment_"


@dataclass(frozen=True)
class Presenter:
    """Writes payments for one public address (without a trailing slash)."""

    public_url: str

    def page_url(self, txid: str) -> str:
        """The payment page."""
        return f"{self.public_url}/payments/pix/{txid}"

    def qr_url(self, txid: str, suffix: str = "png") -> str:
        """The QR image."""
        return f"{self.public_url}/payments/pix/qr_code/{QR_PREFIX}{txid}.{suffix}"

    def payment(self, payment: Payment, now: datetime) -> dict[str, Any]:
        """The payment object (wire contract, section 2), as it stands at `now`."""
        status = status_at(payment, now)
        confirmed = status is PaymentStatus.CONFIRMED
        resolved_at = payment.resolved_at
        return {
            "id": payment.txid,
            "bank_payment_id": payment.txid,
            "status": str(status),
            "paid": confirmed,
            "value": json_number(payment.amount_centavos),
            "amount_centavos": payment.amount_centavos,
            "currency": "BRL",
            "refunded_value": json_number(payment.refunded_centavos),
            "pix_code": payment.br_code,
            "qr_code": f"{QR_PREFIX}{payment.txid}",
            "qr_code_url": self.qr_url(payment.txid),
            "payment_url": self.page_url(payment.txid),
            "watch_code": payment.watch_code,
            "description": payment.description,
            "order_id": payment.order_id,
            "metadata": payment.details,
            "created_at": rfc3339(payment.created_at),
            "expiration_date": rfc3339(payment.expires_at),
            "remaining_ms": remaining_ms(payment, now),
            "confirmed_at": rfc3339(resolved_at) if confirmed and resolved_at else None,
            "end_to_end_id": payment.end_to_end_id,
            "refusal": payment.refusal,
            "sequence": sequence_at(payment, now),
        }

    def status(self, payment: Payment, now: datetime) -> dict[str, Any]:
        """The small answer to a poll."""
        return {
            "id": payment.txid,
            "status": str(status_at(payment, now)),
            "sequence": sequence_at(payment, now),
            "remaining_ms": remaining_ms(payment, now),
            "refusal": payment.refusal,
            "checked_at": rfc3339(now),
        }


def refund_object(refund: Refund, payment: Payment) -> dict[str, Any]:
    """A refund as the wire shows it."""
    return {
        "id": refund.refund_id,
        "payment_id": payment.txid,
        "return_id": refund.return_id,
        "value": json_number(refund.amount_centavos),
        "amount_centavos": refund.amount_centavos,
        "status": str(refund.status),
        "reason": refund.reason,
        "description": refund.description,
        "requested_at": rfc3339(refund.requested_at),
        "settled_at": rfc3339(refund.settled_at) if refund.settled_at else None,
    }


def receipt_refund(refund: Refund) -> dict[str, Any]:
    """A refund as the receipt shows it to whoever has its link: no word of the merchant's own."""
    return {
        "return_id": refund.return_id,
        "value": json_number(refund.amount_centavos),
        "amount_centavos": refund.amount_centavos,
        "status": str(refund.status),
        "requested_at": rfc3339(refund.requested_at),
        "settled_at": rfc3339(refund.settled_at) if refund.settled_at else None,
    }


def receipt_object(receipt: Receipt) -> dict[str, Any]:
    """What a bank told about money, for its merchant."""
    payer = {"name": receipt.payer_name, "document": receipt.payer_document}
    return {
        "end_to_end_id": receipt.end_to_end_id,
        "bank_payment_id": receipt.bank_payment_id,
        "value": json_number(receipt.amount_centavos),
        "amount_centavos": receipt.amount_centavos,
        "paid_at": rfc3339(receipt.paid_at),
        "told_at": rfc3339(receipt.told_at),
        "payer": payer if receipt.payer_name or receipt.payer_document else None,
        "verdict": receipt.verdict,
        "reason": receipt.reason,
    }
