"""Check the BR Code of a charge before a payer may see it, or build it from the location."""

from __future__ import annotations

import base64
import binascii

from core.errors import InvalidMoney
from core.money import centavos_from
from core.pix.br_code import BrCodeError, BrCodeKind, decode, encode_dynamic


class CodeWrong(ValueError):
    """A code that must not be paid; the text is a stable word for the log, without the code."""


def checked_code(text: str, *, location: str | None, amount_centavos: int) -> str:
    """The code, if it is whole, asks for this charge, and asks for no other amount.

    `location` is that of the charge; where the bank does not tell it, any will do. An amount in a
    dynamic code binds nobody (Manual de Padrões §2.7), but a payer would see it. Raises CodeWrong.
    """
    code = text.strip()
    try:
        content = decode(code)
    except BrCodeError as error:
        raise CodeWrong(error.code) from None
    if content.kind is not BrCodeKind.DYNAMIC or content.url is None:
        raise CodeWrong("not-dynamic")
    if location is not None and _comparable(content.url) != _comparable(location):
        raise CodeWrong("other-location")
    if content.amount is not None and _centavos(content.amount) != amount_centavos:
        raise CodeWrong("other-amount")
    return code


def built_code(location: str, *, payee_name: str, payee_city: str) -> str:
    """A code for the payload at this location. Raises CodeWrong."""
    try:
        return encode_dynamic(_without_scheme(location), payee_name, payee_city)
    except BrCodeError as error:
        raise CodeWrong(error.code) from None


def code_from_base64(text: str) -> str:
    """The text of a code that a bank wraps in base64. Raises CodeWrong."""
    if text.startswith("000201"):
        return text  # some answers have the code itself
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise CodeWrong("not-base64") from None


def _centavos(amount: str) -> int | None:
    try:
        return centavos_from(amount.rstrip("."))
    except InvalidMoney:
        return None


def _without_scheme(location: str) -> str:
    for scheme in ("https://", "http://"):
        if location[: len(scheme)].lower() == scheme:
            return location[len(scheme) :]
    return location


def _comparable(location: str) -> str:
    """Host without case; path and token have case (Manual de Padrões §2.5.2)."""
    host, slash, path = _without_scheme(location.strip()).partition("/")
    return host.lower() + slash + path
