"""Pix keys with punctuation, and the names of their kinds."""

from __future__ import annotations

from core.pix.pix_key import KeyKind, kind_of
from web.pages import translate as _


def format_key(key: str) -> str:
    """Add the punctuation that people write in a key of its kind."""
    kind = kind_of(key)
    if kind is KeyKind.CPF:
        return f"{key[:3]}.{key[3:6]}.{key[6:9]}-{key[9:]}"
    if kind is KeyKind.CNPJ:
        return f"{key[:2]}.{key[2:5]}.{key[5:8]}/{key[8:12]}-{key[12:]}"
    if kind is KeyKind.PHONE and key.startswith("+55"):
        number = key[5:]
        return f"+55 {key[3:5]} {number[:-4]}-{number[-4:]}"
    return key


def kind_name(kind: KeyKind) -> str:
    """The kind's translated name."""
    return {
        KeyKind.CPF: _("CPF"),
        KeyKind.CNPJ: _("CNPJ"),
        KeyKind.PHONE: _("telefone"),
        KeyKind.EMAIL: _("e-mail"),
        KeyKind.EVP: _("chave aleatória"),
    }[kind]
