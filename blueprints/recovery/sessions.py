"""A payment as a session: the described system's names for the same row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from blueprints.recovery.presenter import STATUS_WORDS, bill_number, completed_at
from blueprints.recovery.reading import khqr_text
from config import current_settings
from core.clock import rfc3339
from core.money import json_number
from core.pix.khqr import md5_of
from db_models import Payment, RecoveryUpload
from payments.lifecycle import status_at
from payments.routes import presenter

CUSTOMER = "customer_id"
"""The key of the customer in a payment's metadata."""


def session_object(payment: Payment, proof: RecoveryUpload | None, now: datetime) -> dict[str, Any]:
    """A session as its merchant sees it; `proof` is the newest one, without the picture."""
    order = payment.order_id
    return {
        "session_id": payment.txid,
        "payment_id": payment.txid,
        "transaction_id": payment.txid,
        "order_id": order,
        "customer_id": payment.details.get(CUSTOMER),
        "amount": json_number(payment.amount_centavos),
        "amount_centavos": payment.amount_centavos,
        "currency": "BRL",
        "qr_data": payment.pix_code,
        "khqr_data": khqr_text(order, payment.txid, payment.amount_centavos) if order else None,
        "md5_hash": md5_of(payment.br_code),
        "bill_number": bill_number(payment),
        "reference_id": payment.end_to_end_id,
        "status": STATUS_WORDS[status_at(payment, now)],
        "created_at": rfc3339(payment.created_at),
        "expires_at": rfc3339(payment.expires_at),
        "completed_at": completed_at(payment),
        "payment_screenshot_path": picture_url(proof) if proof else None,
        "screenshot_uploaded_at": rfc3339(proof.uploaded_at) if proof else None,
        "payment_verification_status": proof.verdict if proof else None,
        "notes": proof.note if proof else None,
        "qr_code_url": presenter().qr_url(payment),
        "payment_url": presenter().page_url(payment.txid),
    }


def picture_url(proof: RecoveryUpload) -> str:
    """The picture's URL in the portal, where the merchant must be signed in."""
    return f"{current_settings().public_url}/portal/proofs/{proof.public_id}/picture"


def proof_object(
    payment: Payment, proof: RecoveryUpload, message: str, now: datetime
) -> dict[str, Any]:
    """The answer to the sender of a proof, without the picture's URL."""
    return {
        "success": True,
        "message": message,
        "session_id": payment.txid,
        "payment_id": payment.txid,
        "transaction_id": payment.txid,
        "status": STATUS_WORDS[status_at(payment, now)],
        "payment_verification_status": proof.verdict,
        "screenshot_uploaded_at": rfc3339(proof.uploaded_at),
        "width": proof.width,
        "height": proof.height,
    }
