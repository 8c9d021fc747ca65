"""The condition that a payment belongs to a test half, or to a merchant."""

from __future__ import annotations

from sqlalchemy import ColumnElement, exists, true

from db_models import Account, Payment


def of_half(half: bool | None) -> ColumnElement[bool]:
    """Whether the payment is one of a test half (True) or of a merchant; None for every payment."""
    if half is None:
        return true()
    is_own = Account.test_of_id.is_not(None) if half else Account.test_of_id.is_(None)
    return exists().where(Account.id == Payment.merchant_id, is_own)
