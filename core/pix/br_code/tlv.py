"""The grammar of every EMV code: objects `ID LL VALUE` in a row, and a CRC (EMVCo MPM 1.1)."""

from __future__ import annotations

import binascii

from core.pix.br_code.model import BrCodeError, Objects

CHARACTERS_MAX = 512
"""API Pix 2.9.0, CobBaseCopiaCola."""

VALUE_CHARACTERS_MAX = 99
CRC_HEADER = "6304"
_HEADER_CHARACTERS = 4
_CRC_DIGITS = 4


def crc16(text: str) -> str:
    """CRC-16/CCITT-FALSE over the UTF-8 bytes, as four upper-case hexadecimal digits.

    Raises UnicodeEncodeError for text that has no UTF-8 form.
    """
    return f"{binascii.crc_hqx(text.encode(), 0xFFFF):04X}"


def ends_with_crc(text: str) -> bool:
    """Whether the text ends with a CRC that is right for all that stands before its digits.

    Such a text is whole, even if its objects cannot be read.
    """
    digits = text[-_CRC_DIGITS:]
    if text[-len(CRC_HEADER) - _CRC_DIGITS : -_CRC_DIGITS] != CRC_HEADER or not digits.isascii():
        return False
    try:
        return digits.upper() == crc16(text[:-_CRC_DIGITS])
    except UnicodeEncodeError:
        return False


def write_object(object_id: str, value: str) -> str:
    """Write one object of 1 to 99 characters. Raises BrCodeError `tlv_malformed`."""
    if not 1 <= len(value) <= VALUE_CHARACTERS_MAX:
        raise BrCodeError("tlv_malformed", f"Object {object_id} must have 1 to 99 characters.")
    return f"{object_id}{len(value):02d}{value}"


def read_objects(text: str) -> Objects:
    """Read a row of objects in their written order; lengths count characters.

    Raises BrCodeError `tlv_malformed`. A repeated id is refused, so the hundred possible ids bound
    the work, however long the text is.
    """
    objects: dict[str, str] = {}
    at = 0
    while at < len(text):
        header = text[at : at + _HEADER_CHARACTERS]
        # isdigit alone accepts digits of every script.
        if len(header) < _HEADER_CHARACTERS or not (header.isascii() and header.isdigit()):
            raise BrCodeError("tlv_malformed", f"There is no object header at character {at}.")
        object_id, length = header[:2], int(header[2:])
        at += _HEADER_CHARACTERS
        value = text[at : at + length]
        if length == 0 or len(value) < length:
            raise BrCodeError("tlv_malformed", f"Object {object_id} is empty or cut off.")
        if object_id in objects:
            raise BrCodeError("tlv_malformed", f"Object {object_id} appears twice.")
        objects[object_id] = value
        at += length
    return tuple(objects.items())
