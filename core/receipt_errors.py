"""The error types of receipts.

BalcaoError
└── NotFound
    └── ReceiptNotFound
"""

from __future__ import annotations

from core.errors import NotFound


class ReceiptNotFound(NotFound):
    """The merchant has no receipt with this end_to_end_id."""

    code = "receipt-not-found"
    title = "There is no such receipt"
