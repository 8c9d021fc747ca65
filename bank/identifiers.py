"""Identifiers of transfers (Manual de Padrões para Iniciação do Pix, endToEndId)."""

from __future__ import annotations

import re
import secrets
import string
from datetime import UTC, datetime

_ALPHABET = string.ascii_letters + string.digits
_TXID = re.compile(r"[a-zA-Z0-9]{1,35}", re.ASCII)
_IDENTIFIER = re.compile(r"[EDO][0-9A-Z]{8}\d{12}[a-zA-Z0-9]{11}", re.ASCII)

PAYMENT, RETURN, OPENING = "E", "D", "O"


def new_identifier(letter: str, ispb: str, now: datetime) -> str:
    """32 characters: the letter, the bank's ISPB, the minute in UTC, 11 random characters.

    `E` begins a payment's end_to_end_id and `D` a return's rtrId. `O`, for opening balances, is
    this bank's own invention.
    """
    random_part = "".join(secrets.choice(_ALPHABET) for _ in range(11))
    return f"{letter}{ispb}{now.astimezone(UTC):%Y%m%d%H%M}{random_part}"


def is_identifier(text: str) -> bool:
    """Whether the text has the form that `new_identifier` gives."""
    return _IDENTIFIER.fullmatch(text) is not None


def is_txid(text: str) -> bool:
    """Whether the text has the form of a charge's or a static code's txid."""
    return _TXID.fullmatch(text) is not None
