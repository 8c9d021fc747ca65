"""Clean what a person typed or pasted, before any field is read.

Messengers, word processors and web pages add characters that nobody sees, and replace hyphens and
spaces by look-alikes.
"""

from __future__ import annotations

import unicodedata

NAME_KEY_MAX = 240

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


def plain_text(text: str) -> str:
    """The text in its compatible characters (NFKC), without what nobody sees, and trimmed."""
    return clean(unicodedata.normalize("NFKC", clean(text)))


def caseless(text: str) -> str:
    """The one spelling of a login or an e-mail: phones begin it with a capital letter."""
    return plain_text(plain_text(text).casefold())


def name_key(name: str) -> str:
    """The one spelling of a shop's name; names that a reader cannot tell apart have the same.

    Accents count. Not more than NAME_KEY_MAX characters.
    """
    return " ".join(caseless(name).split())[:NAME_KEY_MAX].rstrip()


def with_plain_hyphens(text: str) -> str:
    """The text with `-` for every hyphen, dash and minus sign."""
    if text.isascii():
        return text
    return "".join("-" if _is_hyphen(character) else character for character in text)


def _is_hyphen(character: str) -> bool:
    is_sign = character in (_MINUS_SIGN, _HYPHEN_BULLET)
    return is_sign or unicodedata.category(character) == "Pd"
