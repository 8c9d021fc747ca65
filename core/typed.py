"""Clean what a person typed or pasted, before any field is read.

Messengers, word processors and web pages add characters that nobody sees, and replace hyphens and
spaces by look-alikes.
"""

from __future__ import annotations

import unicodedata

_MINUS_SIGN, _HYPHEN_BULLET = "\u2212", "\u2043"


def clean(text: str) -> str:
    """Remove invisible characters, write every space that is no line break as ` `, and trim."""
    if not text.isascii():
        text = "".join(
            " " if unicodedata.category(character) == "Zs" else character
            for character in text
            if unicodedata.category(character) != "Cf"
        )
    return text.strip()


def with_plain_hyphens(text: str) -> str:
    """The text with `-` for every hyphen, dash and minus sign."""
    if text.isascii():
        return text
    return "".join("-" if _is_hyphen(character) else character for character in text)


def _is_hyphen(character: str) -> bool:
    is_sign = character in (_MINUS_SIGN, _HYPHEN_BULLET)
    return is_sign or unicodedata.category(character) == "Pd"
