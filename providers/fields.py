"""Read what a bank sends: its signature and the amount decide, everything else is optional.

A 4xx sends the payer's money back, so nothing that is not needed may cause one: what cannot be
read counts as not given. Text of a merchant is read strictly instead (`web.bodies`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from core.json_text import load_tolerant_json

NAME_MAX, TRANSFER_ID_MAX, RETURN_ID_MAX, KEY_MAX = 140, 128, 64, 77
MESSAGE_MAX = 140
_NAMES_LOGGED_MAX, _NAME_LOGGED_MAX = 10, 40
_YEAR_MIN = 1970

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\-]*", re.ASCII)
_REFERENCE = re.compile(r"[A-Za-z0-9]{1,25}", re.ASCII)
_OFFSET = re.compile(r"\s*(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)\Z", re.ASCII)
_WHOLE_DOCUMENT = re.compile(r"[0-9]{11}|[0-9A-Z]{12}[0-9]{2}", re.ASCII)
_MASKED_DOCUMENT = re.compile(r"[0-9*./\-]{1,14}", re.ASCII)
_PUNCTUATION = re.compile(r"[\s./\-]")
_MASK_SIGNS = re.compile(r"[Xx#•●]")
_WITHOUT_JSON: dict[int, str | None] = {0: None}


def parse_bank_json(data: bytes) -> Any:
    """Parse a bank's JSON; numbers with a point become Decimal.

    What no database stores is left out: NUL characters and lone surrogates. NaN, Infinity and a
    key that is repeated with different values count as not given. Raises MalformedJson if the
    bytes are not JSON at all.
    """
    return load_tolerant_json(data, encoding="utf-8-sig")


def storable(text: str) -> str:
    """The text without NUL characters and lone surrogates, and without spaces around it."""
    if text.isascii() and "\0" not in text:  # nearly all texts
        return text.strip()
    return text.translate(_WITHOUT_JSON).encode("utf-8", "ignore").decode().strip()


def text_or_none(value: Any) -> str | None:
    """A text or a whole number as text; None for everything else and for blank text."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return (storable(value) or None) if isinstance(value, str) else None


def transfer_id(value: Any) -> str | None:
    """An id of 1 to 128 characters that the bank gave to moved money; None if there is none.

    Any other id is replaced by its hash, so that a repeated notification and a look-up still find
    the same receipt.
    """
    return _id_or_hash(value, TRANSFER_ID_MAX)


def return_id(value: Any) -> str | None:
    """As `transfer_id`, for the return of money: at most 64 characters."""
    return _id_or_hash(value, RETURN_ID_MAX)


def _id_or_hash(value: Any, most: int) -> str | None:
    text = text_or_none(value)
    if text is None or (len(text) <= most and _ID.fullmatch(text)):
        return text
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def bank_instant(value: Any) -> datetime | None:
    """An ISO 8601 time with any offset and any number of digits; None if there is no such time.

    A time without an offset is None too: it may be local time.
    """
    if not isinstance(value, str):
        return None
    text = storable(value).upper()
    if match := _OFFSET.search(text):
        offset = "Z" if match[1] in ("UTC", "GMT") else match[1]
        text = text[: match.start()] + offset
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None or instant.year < _YEAR_MIN:
            return None
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def pix_key(value: Any) -> str | None:
    """A Pix key of at most 77 characters, as the bank writes it; None for everything else."""
    text = text_or_none(value)
    return text if text is not None and len(text) <= KEY_MAX else None


def reference(value: Any) -> str | None:
    """The txid in a static code: 1 to 25 letters and digits; None for everything else."""
    text = text_or_none(value)
    return text if text is not None and _REFERENCE.fullmatch(text) else None


def payer_name(value: Any) -> str | None:
    """The payer's name, cut to the length of its column."""
    text = text_or_none(value)
    return text[:NAME_MAX].strip() if text else None


def payer_message(value: Any) -> str | None:
    """What the payer wrote to the payee, cut to 140 characters (API Pix 2.9.0, infoPagador)."""
    text = text_or_none(value)
    return text[:MESSAGE_MAX].strip() if text else None


def payer_document(value: Any) -> str | None:
    """A CPF or CNPJ without punctuation, or a masked one as it is shown: `***.456.789-**`."""
    text = text_or_none(value)
    if text is None:
        return None
    plain = _PUNCTUATION.sub("", text).upper()
    if _WHOLE_DOCUMENT.fullmatch(plain):
        return plain
    masked = _MASK_SIGNS.sub("*", text)
    return masked if "*" in masked and _MASKED_DOCUMENT.fullmatch(masked) else None


def unused_fields(sent: Mapping[str, Any], read: Mapping[str, Any]) -> list[str]:
    """The names in `sent` that `read` lacks or could not read, for the log; never the values."""
    names = []
    for name, value in sent.items():
        understood = read.get(name)
        inner = vars(understood) if isinstance(understood, BaseModel) else understood
        if isinstance(value, dict) and isinstance(inner, Mapping):
            names += [f"{name}.{one}" for one in unused_fields(value, inner)]
        elif value is not None and understood is None:
            names.append(name[:_NAME_LOGGED_MAX])
    return names[:_NAMES_LOGGED_MAX]
