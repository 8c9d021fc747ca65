"""Identifiers a payer's bank makes (Manual de Padrões para Iniciação do Pix, endToEndId)."""

from __future__ import annotations

import re
import secrets
import string
from datetime import UTC, datetime

_ALPHABET = string.ascii_letters + string.digits
_IDENTIFIER = re.compile(r"[EDO][0-9A-Z]{8}\d{12}[a-zA-Z0-9]{11}", re.ASCII)

PAYMENT, RETURN, OPENING = "E", "D", "O"


def new_identifier(letter: str, ispb: str, now: datetime) -> str:
    """32 characters: the letter, the bank's ISPB, the minute in UTC, 11 random ones.

    `E` is a payment's end_to_end_id, `D` a return's rtrId; `O` (opening balances) is our own.
    """
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(11))
    return f"{letter}{ispb}{now.astimezone(UTC):%Y%m%d%H%M}{tail}"


def is_identifier(text: str) -> bool:
    """Whether the text has the form of an identifier made here."""
    return _IDENTIFIER.fullmatch(text) is not None
