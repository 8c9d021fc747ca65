"""CPF and CNPJ numbers: checked, and masked as Brazilian banks show them."""

from __future__ import annotations

import re

from core.pix.pix_key import KeyKind, kind_of

_PUNCTUATION = re.compile(r"[.\-/]")


def plain_document(text: str) -> str | None:
    """A CPF or CNPJ without its dots; None if its form or its check digits are wrong."""
    document = _PUNCTUATION.sub("", text)
    return document if kind_of(document) in (KeyKind.CPF, KeyKind.CNPJ) else None


def mask_document(document: str) -> str:
    """A CPF or CNPJ without its first and last digits: `***.456.789-**`, `**.345.678/0001-**`.

    Any other text is hidden whole, unless the bank masked it already.
    """
    if "*" in document:
        return document
    if len(document) == 11:
        return f"***.{document[3:6]}.{document[6:9]}-**"
    if len(document) == 14:
        return f"**.{document[2:5]}.{document[5:8]}/{document[8:12]}-**"
    return "*" * len(document)


def mask_key(key: str) -> str:
    """A Pix key that its owner recognises and a bystander cannot use."""
    kind = kind_of(key)
    if kind in (KeyKind.CPF, KeyKind.CNPJ):
        return mask_document(key)
    if kind is KeyKind.EMAIL:
        name, _, host = key.partition("@")
        return f"{name[:2]}***@{host}"
    if kind is KeyKind.PHONE:
        return f"{key[:3]} ** *****-{key[-4:]}"
    return f"{key[:4]}…{key[-4:]}"
