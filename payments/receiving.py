"""Take the bank's reports of money: for a payment, or for a static code, which has no payment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import PaymentNotFound
from core.signing.signatures import VerifiedMessage
from db_models import EventName
from payments import halves_wall, service, snapshots
from payments.schemas import Confirmation
from payments.service import ConfirmationResult
from repository.database import Work
from repository.events import StoredEvent

RECEIVED = "received"
"""The status in the event of a receipt without a payment."""


def take(work: Work, confirmation: Confirmation, signed: VerifiedMessage) -> ConfirmationResult:
    """Confirm the payment that the bank names, or receive money without a payment.

    Refusals are returned, not raised, so that their receipts are committed. Raises
    NotificationConflict.
    """
    confirmation.end_to_end_id = halves_wall.own_transfer_id(confirmation.end_to_end_id, signed)
    txid, pix_key = confirmation.target
    if txid is not None:
        return service.confirm(work, confirmation, txid, signed)
    return _receive(work, confirmation, pix_key or "", signed)


def _receive(
    work: Work, confirmation: Confirmation, pix_key: str, signed: VerifiedMessage
) -> ConfirmationResult:
    """Store a receipt of the merchant with this key; refuse money for a key of nobody."""
    row = service.receipt_row(work, confirmation, signed, None, None)
    earlier_receipt = work.receipts.find_by_end_to_end_id(row["end_to_end_id"])
    refusal = PaymentNotFound("No merchant receives by this Pix key.")
    if earlier_receipt is not None:
        if service.is_behind_wall(earlier_receipt, signed):
            return ConfirmationResult(None, refusal=refusal)
        return service.first_result(earlier_receipt, confirmation, None)
    merchant = work.accounts.find_by_pix_key(pix_key)
    if merchant is None or not halves_wall.may_touch(merchant.id, is_test=signed.is_test):
        work.receipts.insert(service.receipt_row(work, confirmation, signed, None, refusal))
        return ConfirmationResult(None, refusal=refusal)
    store(work, {**row, "merchant_id": merchant.id})
    return ConfirmationResult(None)


def store(work: Work, row: Mapping[str, Any]) -> None:
    """Store an accepted receipt without a payment, and its event; `row` names its merchant."""
    # Anybody can write any txid into a code, so a till counts only within the key's merchant.
    reference, merchant_id = row["reference"], row["merchant_id"]
    till = None if reference is None else work.tills.find(merchant_id, reference)
    receipt_id = work.receipts.insert({**row, "till_id": till.id if till else None})
    work.record(
        StoredEvent(
            name=EventName.RECEIPT_RECEIVED,
            payment_id=None,
            merchant_id=merchant_id,
            txid=None,
            status=RECEIVED,
            sequence=1,
            occurred_at=work.now,
            message="Money has been received without a payment.",
            reason=row.get("misfit"),
            receipt_id=receipt_id,
            end_to_end_id=row["end_to_end_id"],
            amount_centavos=row["amount_centavos"],
            state={snapshots.TILL: till.name if till else None},
        )
    )
