"""Read the transfers in the simulated bank's answers, as leniently as a notification is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import InvalidMoney
from core.money import centavos_from
from providers import fields
from providers.port import BankMoney
from providers.repeated_warnings import warn_hourly

RECEIVED_STATUSES = ("sent", "settled", "confirmed")
"""The bank's statuses of a transfer whose money we have; `returned` settles nothing."""
TXID_MAX = 64


def parse_transfer(entry: Any, expected_txid: str | None) -> BankMoney | None:
    """The transfer as money; None if it was returned or cannot be trusted.

    With `expected_txid`, transfers for other payments are ignored.
    """
    if not isinstance(entry, dict):
        return None
    if str(entry.get("status")).strip().lower() not in RECEIVED_STATUSES:
        return None
    txid, key = entry.get("txid"), entry.get("key")
    if txid is None and expected_txid is None and key is None:
        return None  # A transfer that names neither a payment nor a payee is not ours.
    try:
        txid, amount = _txid(txid), centavos_from(_trimmed(entry.get("value")))
        if txid is None and fields.pix_key(key) is None:
            raise ValueError("neither a payment nor a payee")
    except (ValueError, InvalidMoney):
        about = expected_txid or str(entry.get("txid") or entry.get("end_to_end_id"))[:40]
        warn_hourly("bank.unreadable_answer", about)
        return None
    if expected_txid is not None and txid != expected_txid:
        warn_hourly("bank.answered_for_another_payment", expected_txid)
        return None
    end_to_end_id = fields.transfer_id(entry.get("end_to_end_id"))
    paid_at = fields.bank_instant(entry.get("paid_at"))
    if end_to_end_id is None or paid_at is None:
        warn_hourly("bank.incomplete_answer", txid or fields.pix_key(key))
        return None
    payer = entry.get("payer")
    person: Mapping[str, Any] = payer if isinstance(payer, dict) else {}
    return BankMoney(
        end_to_end_id=end_to_end_id,
        txid=txid,
        pix_key=fields.pix_key(key),
        amount_centavos=amount,
        paid_at=paid_at,
        payer_name=fields.payer_name(person.get("name")),
        payer_document=fields.payer_document(person.get("document")),
        payer_message=fields.payer_message(entry.get("payer_message")),
        reference=fields.reference(entry.get("reference")),
    )


def _trimmed(value: object) -> object:
    return fields.storable(value) if isinstance(value, str) else value


def _txid(value: object) -> str | None:
    """A text of 1 to 64 characters; None for no text. Raises ValueError for anything else."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("the txid is no text")
    text = fields.storable(value)
    if len(text) > TXID_MAX:
        raise ValueError("the txid is too long")
    return text or None
