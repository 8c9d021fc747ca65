"""Name the kind of a text that is no payment of ours, so that the page can tell the payer.

The forms are ZXing's "Barcode contents", vCard 4.0, RFC 3966 and 6068, BIP 21, and FEBRABAN's lines
of digits.
"""

from __future__ import annotations

import hashlib
import re

from blueprints.recovery.reading.kinds import Kind, Reading
from blueprints.recovery.reading.ours import split_address
from core.pix.pix_key import InvalidPixKey, KeyKind, kind_of, normalise

_PREFIXES = (
    ("WIFI:", Kind.WIFI),
    ("BEGIN:VCARD", Kind.CONTACT),
    ("MECARD:", Kind.CONTACT),
    ("BIZCARD:", Kind.CONTACT),
    ("BEGIN:VCALENDAR", Kind.EVENT),
    ("BEGIN:VEVENT", Kind.EVENT),
    ("TEL:", Kind.PHONE),
    ("MAILTO:", Kind.EMAIL),
    ("MATMSG:", Kind.EMAIL),
    ("SMTP:", Kind.EMAIL),
    ("SMS:", Kind.MESSAGE),
    ("SMSTO:", Kind.MESSAGE),
    ("MMSTO:", Kind.MESSAGE),
    ("GEO:", Kind.PLACE),
    ("BITCOIN:", Kind.CRYPTO),
    ("LIGHTNING:", Kind.CRYPTO),
    ("LITECOIN:", Kind.CRYPTO),
    ("DOGECOIN:", Kind.CRYPTO),
    ("ETHEREUM:", Kind.CRYPTO),
    ("MONERO:", Kind.CRYPTO),
    ("SOLANA:", Kind.CRYPTO),
    ("TRON:", Kind.CRYPTO),
)
_BETWEEN_DIGITS = re.compile(r"[ .\-]")
_BANK_SLIP_DIGITS, _COLLECTION_SLIP_DIGITS, _BAR_CODE_DIGITS = 47, 48, 44
"""Digits of a bank's slip, of a tax or utility slip, and of the bar code of either."""
_CRYPTO_ADDRESS = re.compile(
    r"(?:bc1|tb1|ltc1)[02-9ac-hj-np-z]{11,80}|0x[0-9a-fA-F]{40}|ln(?:bc|tb)[0-9a-z]{50,2000}",
    re.A,
)
_BASE58_ADDRESS = re.compile(r"[13TLDM][1-9A-HJ-NP-Za-km-z]{24,34}", re.A)
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BARE_HOST = re.compile(
    r"(?:www\.)?[a-z0-9](?:[a-z0-9-]{0,62}\.)+(?:com|net|org|br|app|io|me|dev|info|link|site|shop)"
    r"(?:[/?#:][^\s]*)?",
    re.I | re.A,
)
_KINDS_OF_KEY = {KeyKind.EMAIL: Kind.EMAIL, KeyKind.PHONE: Kind.PHONE}
_HOST_MAX = 253


def name_foreign(text: str) -> Reading:
    """The kind of a stripped text that names no payment of ours; PLAIN_TEXT if unknown."""
    if not text:
        return Reading(Kind.EMPTY, text)
    start = text[:20].upper()
    for prefix, kind in _PREFIXES:
        if start.startswith(prefix):
            return Reading(kind, text)
    if web := _web_address(text):
        return web
    if _is_boleto(text):
        return Reading(Kind.BOLETO, text)
    if _is_crypto_address(text):
        return Reading(Kind.CRYPTO, text)
    return _pix_key(text) or Reading(Kind.PLAIN_TEXT, text)


def _web_address(text: str) -> Reading | None:
    if any(character.isspace() for character in text):
        return None
    parts = split_address(text)
    if parts is None and "@" not in text and _BARE_HOST.fullmatch(text):
        parts = split_address(f"http://{text}")
    if parts is None:
        return None
    host = (parts.hostname or "")[:_HOST_MAX]
    return Reading(Kind.WEB_ADDRESS, text, host=host if host.isprintable() else None)


def _is_boleto(text: str) -> bool:
    digits = _BETWEEN_DIGITS.sub("", text)
    if not (digits.isascii() and digits.isdigit()):
        return False
    length = len(digits)
    is_collection_slip = digits[0] == "8" and length in (_COLLECTION_SLIP_DIGITS, _BAR_CODE_DIGITS)
    # Digit 4 of a bank's bar code is the currency, 9 for the real.
    is_bank_bar_code = length == _BAR_CODE_DIGITS and digits[3] == "9"
    return length == _BANK_SLIP_DIGITS or is_collection_slip or is_bank_bar_code


def _is_crypto_address(text: str) -> bool:
    # A segwit address and an invoice may be all upper case, which makes a smaller code.
    if _CRYPTO_ADDRESS.fullmatch(text.lower() if text.isupper() else text):
        return True
    return _BASE58_ADDRESS.fullmatch(text) is not None and _has_base58_checksum(text)


def _has_base58_checksum(text: str) -> bool:
    """Check Base58Check, because without it any long word would be an address."""
    number = 0
    for character in text:
        number = number * 58 + _BASE58.index(character)
    zeros = len(text) - len(text.lstrip("1"))
    decoded = b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
    body, checksum = decoded[:-4], decoded[-4:]
    return hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4] == checksum


def _pix_key(text: str) -> Reading | None:
    """Read a text that is a Pix key and nothing else; some keys are a phone number or an e-mail."""
    try:
        key = normalise(text)
    except InvalidPixKey:
        return None
    kind = kind_of(key)
    return Reading(_KINDS_OF_KEY.get(kind, Kind.PIX_KEY), text, pix_key=key) if kind else None
