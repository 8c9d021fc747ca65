"""The JSON objects of payments, refunds and receipts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from accounts.halves import KnownHalves
from core.clock import rfc3339
from core.documents import mask_document
from core.money import json_number
from db_models import Payment, PaymentStatus, ProviderCharge, Refund
from payments.at_bank.facts import KnownAccounts, status_word
from payments.due_charges import amount_at
from payments.lifecycle import remaining_ms, sequence_at, status_at
from repository.page_rows import PolledPayment
from repository.receipts import ListedReceipt

QR_PREFIX = "qr_code_payment_"


@dataclass(frozen=True)
class Presenter:
    """Build payment objects; `public_url` has no trailing slash."""

    public_url: str
    is_live: bool
    """Whether the service runs in production."""
    accounts: KnownAccounts = field(default_factory=KnownAccounts)
    halves: KnownHalves = field(default_factory=KnownHalves)

    def page_url(self, txid: str) -> str:
        return f"{self.public_url}/payments/pix/{txid}"

    def qr_url(self, payment: Payment, suffix: str = "png") -> str:
        name = f"{QR_PREFIX}{payment.txid}.{suffix}{payment.picture_query}"
        return f"{self.public_url}/payments/pix/qr_code/{name}"

    def public_payment(self, payment: Payment, now: datetime) -> dict[str, Any]:
        """The public view, as of `now`: what everybody with the payment's link may read."""
        status = status_at(payment, now)
        confirmed = status is PaymentStatus.CONFIRMED
        resolved_at = payment.resolved_at
        amount_centavos = amount_at(payment, now)
        return {
            "id": payment.txid,
            "bank_payment_id": payment.txid,
            "status": str(status),
            "paid": confirmed,
            "value": json_number(amount_centavos),
            "amount_centavos": amount_centavos,
            "currency": "BRL",
            "refunded_value": json_number(payment.refunded_centavos),
            "pix_code": payment.pix_code,
            "qr_code": f"{QR_PREFIX}{payment.txid}",
            "qr_code_url": self.qr_url(payment),
            "payment_url": self.page_url(payment.txid),
            "watch_code": payment.watch_code,
            "description": payment.description,
            "order_id": payment.order_id,
            "created_at": rfc3339(payment.created_at),
            "expiration_date": rfc3339(payment.expires_at),
            "remaining_ms": remaining_ms(payment, now),
            "confirmed_at": rfc3339(resolved_at) if confirmed and resolved_at else None,
            "end_to_end_id": payment.end_to_end_id,
            "refusal": payment.refusal,
            "sequence": sequence_at(payment, now),
            "livemode": self.is_payment_live(payment),
        }

    def livemode(self, merchant_id: int, provider_account_id: int | None = None) -> bool:
        """Whether the money of the merchant with this row id is real.

        An account at a bank decides, if there is one; else whether it is a test half.
        """
        if provider_account_id is not None:
            return self.accounts.of(provider_account_id).is_live
        return self.is_live and not self.halves.is_test_half(merchant_id)

    def is_payment_live(self, payment: Payment) -> bool:
        """Whether the payment's money is real."""
        return self.livemode(payment.merchant_id, payment.provider_account_id)

    def provider(
        self, payment: Payment, now: datetime, charge: ProviderCharge | None = None
    ) -> dict[str, str | None]:
        """Whose charge the payer pays; `charge` is its row, if the caller has read it."""
        status = status_word(payment, charge, now)
        row = payment.provider_account_id
        if row is None:
            own = {"name": "simulated", "account": None, "txid": payment.pix_txid}
            return {**own, "status": status}
        facts = self.accounts.of(row)
        return {
            "name": facts.profile,
            "account": facts.public_id,
            "txid": payment.txid,
            "status": status,
        }

    def merchant_payment(
        self, payment: Payment, now: datetime, charge: ProviderCharge | None = None
    ) -> dict[str, Any]:
        """The merchant's view, as of `now`: the public view, and what the shop wrote for itself."""
        return {
            **self.public_payment(payment, now),
            "metadata": payment.details,
            "return_url": payment.return_url,
            "cancel_url": payment.cancel_url,
            "payer": _payer(payment.payer_name, payment.payer_document),
            "test": payment.robot_terms,
            "provider": self.provider(payment, now, charge),
        }

    def payment(
        self,
        payment: Payment,
        now: datetime,
        charge: ProviderCharge | None = None,
        *,
        to_merchant: bool,
    ) -> dict[str, Any]:
        """The payment object as its merchant or as everybody sees it, as of `now`."""
        if to_merchant:
            return self.merchant_payment(payment, now, charge)
        return self.public_payment(payment, now)

    def status(self, payment: Payment | PolledPayment, now: datetime) -> dict[str, Any]:
        """The answer to a poll, as of `now`."""
        return {
            "id": payment.txid,
            "status": str(status_at(payment, now)),
            "sequence": sequence_at(payment, now),
            "remaining_ms": remaining_ms(payment, now),
            "refusal": payment.refusal,
            "checked_at": rfc3339(now),
        }


def _payer(name: str | None, document: str | None) -> dict[str, str | None] | None:
    """A payer with the document masked; None if nothing is known."""
    if not name and not document:
        return None
    return {"name": name, "document": mask_document(document) if document else None}


def refund_object(refund: Refund, payment: Payment) -> dict[str, Any]:
    """A refund as its merchant sees it."""
    return {
        "id": refund.refund_id,
        "payment_id": payment.txid,
        "return_id": refund.return_id,
        "value": json_number(refund.amount_centavos),
        "amount_centavos": refund.amount_centavos,
        "status": str(refund.status),
        "reason": refund.reason,
        "by_bank": refund.by_bank,
        "nature": refund.nature,
        "description": refund.description,
        "requested_at": rfc3339(refund.requested_at),
        "settled_at": rfc3339(refund.settled_at) if refund.settled_at else None,
    }


def receipt_refund(refund: Refund) -> dict[str, Any]:
    """A refund on the public receipt: without the merchant's `refund_id` and `description`."""
    return {
        "return_id": refund.return_id,
        "value": json_number(refund.amount_centavos),
        "amount_centavos": refund.amount_centavos,
        "status": str(refund.status),
        "requested_at": rfc3339(refund.requested_at),
        "settled_at": rfc3339(refund.settled_at) if refund.settled_at else None,
    }


def receipt_object(listed: ListedReceipt) -> dict[str, Any]:
    """A receipt as its merchant sees it."""
    receipt = listed.receipt
    return {
        "end_to_end_id": receipt.end_to_end_id,
        "bank_payment_id": receipt.bank_payment_id,
        "payment_id": listed.txid,
        "pix_key": receipt.pix_key,
        "reference": receipt.reference,
        "till": listed.till_name,
        "value": json_number(receipt.amount_centavos),
        "amount_centavos": receipt.amount_centavos,
        "paid_at": rfc3339(receipt.paid_at),
        "told_at": rfc3339(receipt.told_at),
        "payer": _payer(receipt.payer_name, receipt.payer_document),
        "verdict": receipt.verdict,
        "reason": receipt.reason,
        "misfit": receipt.misfit,
    }
