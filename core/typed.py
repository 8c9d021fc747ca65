"""Clean what a person typed or pasted, before any field is read.

Messengers, word processors and web pages add characters that nobody sees, and replace hyphens and
spaces by look-alikes.
"""

from __future__ import annotations

import re
import unicodedata

from core.ids import END_TO_END_ID

NAME_KEY_MAX = 240

_QUOTES = "\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb<>"
_OWN_ID = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)
_OWN_ID_IN_ADDRESS = re.compile(r"https?://\S*?(?<![0-9A-Za-z])([0-9A-Fa-f]{32})(?![0-9A-Za-z])")

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


def identifier(text: str) -> str:
    """The one spelling of an id of ours or an end-to-end id; any other text as `plain_text`.

    Spaces, line breaks and quotation marks around either id go, and capitals in ours. The address
    of a page of ours gives the id in it. An order's id may have all of these, so it keeps them, and
    a UUID with its hyphens is a Pix key.
    """
    plain = plain_text(text)
    compact = "".join(plain.split()).strip(_QUOTES)
    # The end-to-end id comes first, because it may consist of 32 hex digits too.
    if END_TO_END_ID.fullmatch(compact):
        return compact
    if _OWN_ID.fullmatch(compact):
        return compact.lower()
    address = _OWN_ID_IN_ADDRESS.match(plain)
    return address[1].lower() if address else plain


def with_plain_hyphens(text: str) -> str:
    """The text with `-` for every hyphen, dash and minus sign."""
    if text.isascii():
        return text
    return "".join("-" if _is_hyphen(character) else character for character in text)


def _is_hyphen(character: str) -> bool:
    is_sign = character in (_MINUS_SIGN, _HYPHEN_BULLET)
    return is_sign or unicodedata.category(character) == "Pd"
