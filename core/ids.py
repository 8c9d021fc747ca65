"""Public ids: unguessable, with a fixed format."""

from __future__ import annotations

import re
import secrets
import string
from datetime import UTC, datetime

_ISPB = re.compile(r"[0-9A-Z]{8}", re.ASCII)
_HEX_32 = re.compile(r"[0-9a-f]{32}", re.ASCII)
END_TO_END_ID = re.compile(
    r"E[0-9A-Z]{8}20[0-9]{2}(?:0[1-9]|1[0-2])(?:[0-2][0-9]|3[01])[0-2][0-9][0-5][0-9][A-Za-z0-9]{11}",
    re.ASCII,
)
"""API Pix 2.9.0, EndToEndId; it contains the minute of the payment."""
_LETTERS = string.digits + string.ascii_letters
_TILL_LETTERS = string.ascii_uppercase + string.digits
_TILL_TXID = re.compile(r"[A-Z0-9]{25}", re.ASCII)


def new_txid() -> str:
    """A payment's public id: 32 lower-case hex digits, 128 random bits.

    The form is also a txid of API Pix 2.9.0 (`^[a-zA-Z0-9]{26,35}$`).
    """
    return secrets.token_hex(16)


def new_watch_code() -> str:
    """A code that only allows reading one payment: 32 lower-case hex digits."""
    return secrets.token_hex(16)


def new_public_id() -> str:
    """The public id of any other row: 32 lower-case hex digits, 128 random bits."""
    return secrets.token_hex(16)


def new_end_to_end_id(ispb: str, at: datetime) -> str:
    """The id of a transfer that the payee's bank orders, with 65 random bits."""
    return f"E{ispb}{at.astimezone(UTC):%Y%m%d%H%M}{random_end()}"


def random_end() -> str:
    """The last part of an id between banks: 11 letters and digits, 65 random bits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(11))


def new_till_txid() -> str:
    """The txid in a till's static codes: 25 capital letters and digits, 129 random bits.

    25 characters are the most that field 62-05 of a static BR Code may have.
    """
    return "".join(secrets.choice(_TILL_LETTERS) for _ in range(25))


def is_till_txid(text: str) -> bool:
    """Whether the text has the format of a till's txid; the till need not exist."""
    return _TILL_TXID.fullmatch(text) is not None


def is_txid(text: str) -> bool:
    """Whether the text has the format of our ids; the id need not exist."""
    return _HEX_32.fullmatch(text) is not None


def checked_ispb(text: str) -> str:
    """The number of a participant of Pix, as it is (API Pix 2.9.0). Raises ValueError."""
    if not _ISPB.fullmatch(text):
        raise ValueError("must be 8 digits or capital letters")
    return text
