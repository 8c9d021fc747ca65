"""The error types of receipts and tills.

BalcaoError
├── NotFound
│   ├── ReceiptNotFound
│   └── TillNotFound
└── Conflict
    ├── ReceiptNotAttachable
    ├── TooManyTills
    └── LastTill
"""

from __future__ import annotations

from core.errors import Conflict, NotFound


class ReceiptNotFound(NotFound):
    """The merchant has no receipt with this end_to_end_id."""

    code = "receipt-not-found"
    title = "There is no such receipt"


class TillNotFound(NotFound):
    """The merchant has no open till with this txid."""

    code = "till-not-found"
    title = "There is no such till"


class ReceiptNotAttachable(Conflict):
    """The receipt has another payment, was refused, or does not fit the payment."""

    code = "receipt-not-attachable"
    title = "This receipt cannot be attached"


class TooManyTills(Conflict):
    """The merchant has the maximum number of tills."""

    code = "too-many-tills"
    title = "This merchant has too many tills"


class LastTill(Conflict):
    """The merchant's only open till cannot be closed."""

    code = "last-till"
    title = "The last till cannot be closed"
