"""The wall between the two banks: each moves money of its own half alone.

A message of the test bank about a merchant's payment, key or recurrence gets the answer for
something that does not exist, and so does a message of the live bank about a test half's.
"""

from __future__ import annotations

import hashlib

from config import current_parts, current_settings
from core.runtime.bank_peer import TEST_BANK_ISPB
from core.signing.signatures import VerifiedMessage

_DIGITS = 32
_OWN_PREFIXES = (f"E{TEST_BANK_ISPB}", "test:")


def may_touch(merchant_id: int, *, is_test: bool) -> bool:
    """Whether this bank may touch what belongs to the account with this row id.

    `is_test` tells whether it is the bank of test halves. In development one bank is there for all.
    """
    if current_settings().is_development:
        return True
    return current_parts().presenter.halves.is_test_half(merchant_id) == is_test


def ispb_of(merchant_id: int) -> str:
    """The number of the bank that holds the account of this merchant or test half."""
    settings = current_settings()
    if settings.is_live and current_parts().presenter.halves.is_test_half(merchant_id):
        return TEST_BANK_ISPB
    return settings.bank_ispb


def own_transfer_id(end_to_end_id: str | None, signed: VerifiedMessage) -> str | None:
    """The id under which money of this message is stored.

    An id of the test bank that is not of its own making could be that of real money, which would
    then find its id in use. Such an id is replaced by its hash, so that a repeated notification
    and a look-up still find the same receipt.
    """
    text = end_to_end_id or signed.message_id
    if not signed.is_test or text.startswith(_OWN_PREFIXES):
        return end_to_end_id
    return f"test:{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"
