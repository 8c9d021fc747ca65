"""Public ids: unguessable, with a fixed format."""

from __future__ import annotations

import re
import secrets

_HEX_32 = re.compile(r"[0-9a-f]{32}", re.ASCII)


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


def is_txid(text: str) -> bool:
    """Whether the text has the format of our ids; the id need not exist."""
    return _HEX_32.fullmatch(text) is not None
