"""Pix keys: the kind of a key, and the canonical form of a key that a person typed.

Forms are those of DICT (Banco Central, API DICT 2.12) and of the Manual de Padrões para Iniciação
do Pix §2.5.1. A well-formed key need not exist: only DICT knows.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from uuid import UUID

from validate_docbr import CNPJ, CPF

from core.errors import InvalidRequest
from core.typed import clean, with_plain_hyphens

KEY_CHARACTERS_MAX = 77

_CPF = re.compile(r"[0-9]{11}")
_CNPJ = re.compile(r"[0-9A-Z]{12}[0-9]{2}")
_PHONE = re.compile(r"\+[1-9][0-9]{1,14}")
_BRAZILIAN_PHONE = re.compile(r"\+55[0-9]{10,11}")
_EVP = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# DICT 2.6 took `&` out of the characters that may stand before the `@`.
_EMAIL = re.compile(rf"[a-z0-9.!#$'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})+")

_CPF_MASK = re.compile(r"[0-9]{3}[. ][0-9]{3}[. ][0-9]{3}[-. /][0-9]{2}")
_CPF_DIGITS = 11
# A person types area code and number, perhaps after the country's code or the prefix 0 of calls to
# another area; neither digit of a Brazilian area code is zero.
_TYPED_PHONE = re.compile(r"(?:(?:\+|00)?55)?0?([1-9]{2}(?:9[0-9]{8}|[2-5][0-9]{7}))")
_EVP_DIGITS = re.compile(r"[0-9A-Fa-f]{32}")
_LABEL_OF_KEY = re.compile(
    r"(chave aleat[óo]ria|chave pix|chave|pix|cpf|cnpj|telefone|tel|celular|fone|whatsapp|e-?mail"
    r"|mailto)(?: ?[:=] ?|\.? )",
    re.IGNORECASE,
)
_WRAPPERS = " \"'`<>{}[]\u2018\u2019\u201c\u201d"
TYPED_CHARACTERS_MAX = 200
_PUNCTUATION = str.maketrans("", "", ".-/()")

_cpf, _cnpj = CPF(), CNPJ()


class KeyKind(StrEnum):
    """The five kinds of Pix key."""

    CPF = "cpf"
    CNPJ = "cnpj"
    PHONE = "phone"
    EMAIL = "email"
    EVP = "evp"


class InvalidPixKey(InvalidRequest, ValueError):
    """The text cannot be read as a Pix key."""

    code = "invalid-request"

    def __init__(self, why: str) -> None:
        """`why` is a fragment that follows the field's name."""
        super().__init__(detail=why)


def checked_key(key: str) -> str:
    """The key, as it is. Raises ValueError unless it is in its canonical form."""
    if kind_of(key) is None:
        raise ValueError("must be a Pix key in its canonical form")
    return key


def kind_of(key: str) -> KeyKind | None:
    """The kind of a key in canonical form, or None for anything else; never raises.

    The canonical form is the one in codes and API paths: digits alone, `+55…`, lower case.
    """
    if len(key) > KEY_CHARACTERS_MAX:
        return None
    # The forms are checked first: validate-docbr alone takes masks, short CPFs, which it fills
    # with zeros, lower case letters and digits of other scripts.
    if _CPF.fullmatch(key):
        return KeyKind.CPF if _cpf.validate(key) else None
    if _CNPJ.fullmatch(key):
        return KeyKind.CNPJ if _cnpj.validate(key) else None
    if key.startswith("+55"):
        return KeyKind.PHONE if _BRAZILIAN_PHONE.fullmatch(key) else None
    if _PHONE.fullmatch(key):
        return KeyKind.PHONE
    if _EVP.fullmatch(key):
        return KeyKind.EVP
    return KeyKind.EMAIL if _EMAIL.fullmatch(key) else None


def normalise(text: str) -> str:
    """The canonical key that a person meant by this text.

    Takes masks, spaces, upper case, invisible characters, every kind of hyphen, a label (`CPF`,
    `tel:`), random keys without hyphens, and Brazilian phones without `+55` or with a leading 0.
    Eleven digits are a CPF if its check digits hold and else a mobile phone, but digits masked as
    a CPF are never a phone. Raises InvalidPixKey.
    """
    if len(text.strip()) > TYPED_CHARACTERS_MAX:
        raise InvalidPixKey(f"must be at most {KEY_CHARACTERS_MAX} characters")
    line = with_plain_hyphens(unicodedata.normalize("NFKC", clean(text)))
    if not line:
        raise InvalidPixKey("must not be empty")
    if kind_of(line):
        return line
    label = _LABEL_OF_KEY.match(line)
    label_kinds = _kinds_of_label(label[1]) if label else tuple(KeyKind)
    bare = (line[label.end() :] if label else line).strip(_WRAPPERS)
    for candidate in _candidates(bare):
        if kind_of(candidate) in label_kinds:
            return candidate
    raise InvalidPixKey("must be a CPF, a CNPJ, a phone, an e-mail or a random Pix key")


def _kinds_of_label(label: str) -> tuple[KeyKind, ...]:
    """The kinds that a label such as `CPF` or `tel` allows; `chave` allows all."""
    name = label.casefold().replace("-", "")
    if name in ("cpf", "cnpj"):
        return (KeyKind(name),)
    if name in ("email", "mailto"):
        return (KeyKind.EMAIL,)
    if name.endswith("pix") or name == "chave":
        return tuple(KeyKind)
    return (KeyKind.EVP,) if name.startswith("chave") else (KeyKind.PHONE,)


def _candidates(text: str) -> list[str]:
    """Possible readings, the likeliest first; each still has to pass `kind_of`."""
    if "@" in text:
        return [text.lower()]
    compact = "".join(text.split()).translate(_PUNCTUATION)
    readings = [compact] if compact.startswith("+") else [text.lower(), compact.upper()]
    if _EVP_DIGITS.fullmatch(compact):
        readings.append(str(UUID(compact)))
    if (match := _TYPED_PHONE.fullmatch(compact)) and not _CPF_MASK.fullmatch(text):
        # A landline with a leading 0 has eleven digits as a CPF; bare digits may be a mistyped one.
        is_bare_landline = text.isdigit() and text.startswith("0") and len(text) == _CPF_DIGITS
        if not is_bare_landline:
            readings.append(f"+55{match[1]}")
    return readings
