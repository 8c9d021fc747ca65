"""Writing BR Codes: the canonical form, ids ascending, and only what strict reading takes."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from anyascii import anyascii

from core.money import plain
from core.pix.br_code.location import check_location, check_same_host
from core.pix.br_code.model import GUI, NO_TXID, BrCodeError
from core.pix.br_code.tlv import CRC_HEADER, VALUE_CHARACTERS_MAX, crc16, write_object
from core.pix.pix_key import kind_of

_NAME_MAX, _CITY_MAX, _ADDITIONAL_INFO_MAX, _AMOUNT_MAX = 25, 15, 72, 13
_TXID = re.compile(r"[A-Za-z0-9]{1,25}")
_POSTAL_CODE = re.compile(r"[0-9]{8}")
_HEADER_CHARACTERS = 4
# Where people in Brazil expect another spelling than the library's `Ae`, `Oe` and `deg`.
_SPELLINGS = str.maketrans({"Æ": "AE", "Œ": "OE", "°": "o"})


def encode_static(
    key: str,
    name: str,
    city: str,
    *,
    amount_centavos: int | None = None,
    txid: str | None = None,
    additional_info: str | None = None,
    postal_code: str | None = None,
    single_use: bool = False,
) -> str:
    """A static code for this key; without an amount the payer types it.

    Name, city and additional information are transliterated to ASCII and cut to their maximum.
    Key, txid and postal code (eight digits) must be canonical. Raises BrCodeError with the code of
    the first value that a BR Code cannot hold.
    """
    if kind_of(key) is None:
        raise BrCodeError("key_invalid", "The key is not a Pix key in canonical form.")
    account = write_object("00", GUI) + write_object("01", key)
    if additional_info is not None:
        account += write_object("02", _fold_info(additional_info, account))
    amount = "" if amount_centavos is None else write_object("54", _amount_text(amount_centavos))
    if txid is not None and txid != NO_TXID and not _TXID.fullmatch(txid):
        raise BrCodeError("txid_invalid", "The txid must be 1 to 25 ASCII letters and digits.")
    return _assemble_code(
        initiation="12" if single_use else None,
        account=account,
        amount=amount,
        name=name,
        city=city,
        postal_code=postal_code,
        txid=txid or NO_TXID,
    )


def encode_dynamic(
    location: str,
    name: str,
    city: str,
    *,
    postal_code: str | None = None,
    single_use: bool = True,
) -> str:
    """A dynamic code for the payload at this location, written without `https://`.

    Neither amount nor txid is written: readers must take both from the payload. Raises BrCodeError
    as `encode_static` does, `url_invalid` for the location.
    """
    check_location(location)
    return _assemble_code(
        initiation="12" if single_use else "11",
        account=write_object("00", GUI) + write_object("25", location),
        amount="",
        name=name,
        city=city,
        postal_code=postal_code,
        txid=NO_TXID,
    )


def encode_recurring(recurrence: str, name: str, city: str, *, location: str | None = None) -> str:
    """A code that offers the recurrence at a location (Pix Automático), written in object 80.

    `location` is that of a charge's payload, for a code that asks for a payment as well: a reader
    that knows no recurrences pays the charge. Raises BrCodeError as `encode_dynamic` does, also for
    two hosts.
    """
    check_location(recurrence)
    account = write_object("00", GUI)
    if location is not None:
        check_location(location)
        check_same_host(location, recurrence)
        account += write_object("25", location)
    return _assemble_code(
        initiation=None if location is None else "12",
        account=account,
        amount="",
        name=name,
        city=city,
        postal_code=None,
        txid=NO_TXID,
        recurrence=write_object("00", GUI) + write_object("25", recurrence),
    )


def _assemble_code(
    *,
    initiation: str | None,
    account: str,
    amount: str,
    name: str,
    city: str,
    postal_code: str | None,
    txid: str,
    recurrence: str | None = None,
) -> str:
    """The whole text: objects in ascending order of their ids, then the CRC."""
    merchant = write_object("59", _fold_text(name, _NAME_MAX, "name_invalid"))
    merchant += write_object("60", _fold_text(city, _CITY_MAX, "city_invalid"))
    if postal_code is not None:
        if not _POSTAL_CODE.fullmatch(postal_code):
            raise BrCodeError("postal_code_invalid", "The postal code must be eight digits.")
        merchant += write_object("61", postal_code)
    body = (
        write_object("00", "01")
        + ("" if initiation is None else write_object("01", initiation))
        + write_object("26", account)
        + write_object("52", "0000")
        + write_object("53", "986")
        + amount
        + write_object("58", "BR")
        + merchant
        + write_object("62", write_object("05", txid))
        + ("" if recurrence is None else write_object("80", recurrence))
        + CRC_HEADER
    )
    return body + crc16(body)


@lru_cache(maxsize=1024)  # merchants make many codes under one name
def _fold_text(text: str, characters_max: int, error_code: str) -> str:
    """The text as printable ASCII, single-spaced and cut. Raises BrCodeError if nothing is left."""
    composed = unicodedata.normalize("NFC", " ".join(text.split())).translate(_SPELLINGS)
    printable = "".join(map(_ascii_of, composed))
    folded = " ".join(printable.split())[:characters_max].strip()
    if not folded:
        raise BrCodeError(error_code, "No printable ASCII character is left of the text.")
    return folded


def _ascii_of(character: str) -> str:
    """ASCII letters for a character of any script; nothing for emoji and controls."""
    if character.isascii():
        return character if character.isprintable() else ""
    ascii_text = anyascii(character)
    # The library names emoji, as `:pizza:`.
    is_name = len(ascii_text) > 1 and ascii_text.startswith(":")
    return "" if is_name or not ascii_text.isprintable() else ascii_text


def _fold_info(text: str, account: str) -> str:
    """Additional information, cut to the space that the account template has left."""
    room = min(_ADDITIONAL_INFO_MAX, VALUE_CHARACTERS_MAX - len(account) - _HEADER_CHARACTERS)
    if room < 1:
        raise BrCodeError("additional_info_invalid", "The key leaves no room for information.")
    return _fold_text(text, room, "additional_info_invalid")


def _amount_text(amount_centavos: int) -> str:
    """Reais with two decimals always: some payers read `198` as 1.98 (bacen/pix-api issue 248)."""
    if isinstance(amount_centavos, bool) or not isinstance(amount_centavos, int):
        raise BrCodeError("amount_invalid", "The amount must be whole centavos.")
    # The magnitude is checked first, because turning a huge integer into digits is slow.
    if not 0 < amount_centavos < 10 ** (_AMOUNT_MAX - 1):
        raise BrCodeError("amount_invalid", "The amount must be 0.01 to 9999999999.99.")
    return plain(amount_centavos)
