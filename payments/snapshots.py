"""What an event must remember: the fields of a payment or receipt that may change afterwards.

The body of an event is rebuilt from its snapshot and from the columns that never change, so a
webhook that is sent a day later still shows the state at the event. A payer's name and document are
not part of a snapshot: when they are erased, they are erased here too (docs/privacy.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from db_models import Payment
from repository.payments import payment_from

_TEXTS_AND_NUMBERS = (
    "status",
    "amount_centavos",
    "refunded_centavos",
    "end_to_end_id",
    "refusal",
    "sequence",
)
_INSTANTS = ("expires_at", "resolved_at")
REFUND, RECEIPT, TILL = "refund_row", "receipt_row", "till"
"""Further members of a snapshot: the refund or receipt that the event is about, a till's name."""
HAS_CODE = "has_code"
"""Whether the payment had its code; False, or absent for the state of its row."""
CHANGED = "changed"
"""What a revision changed: a list of `payments.charges.ChangedPart`."""
REFUNDS = "refunds"
"""The status of each refund of the payment, by row id; rows of events before API Pix lack it."""


def of_payment(payment: Payment, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The snapshot of a payment as JSON; `changes` are values that the object does not have yet."""
    values = {name: getattr(payment, name) for name in (*_TEXTS_AND_NUMBERS, *_INSTANTS)}
    values |= changes or {}
    for name in _INSTANTS:
        instant: datetime | None = values[name]
        values[name] = None if instant is None else instant.isoformat()
    values["status"] = str(values["status"])
    if payment.provider_account_id is not None and not payment.has_location:
        values[HAS_CODE] = False
    return values


def payment_at(payment: Payment, state: Mapping[str, Any]) -> Payment:
    """The payment as it stood at the event with this snapshot; not a row of any session."""
    values = {name: state[name] for name in _TEXTS_AND_NUMBERS}
    for name in _INSTANTS:
        text = state[name]
        values[name] = None if text is None else datetime.fromisoformat(text)
    values["has_location"] = state.get(HAS_CODE, payment.has_location)
    return payment_from(payment, values)
