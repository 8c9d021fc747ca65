"""The grammar under every EMV code: rows of `ID LL VALUE`, closed by a CRC (EMVCo MPM 1.1)."""

from __future__ import annotations

import binascii

from core.pix.br_code.model import BrCodeError, Objects

CHARACTERS_MAX = 512
"""API Pix 2.9.0, CobBaseCopiaCola."""

VALUE_CHARACTERS_MAX = 99
CRC_HEADER = "6304"
_HEADER_CHARACTERS = 4


def crc16(text: str) -> str:
    """CRC-16/CCITT-FALSE over the UTF-8 bytes, as four upper-case hexadecimal digits.

    Raises UnicodeEncodeError for text that has no UTF-8 form.
    """
    return f"{binascii.crc_hqx(text.encode(), 0xFFFF):04X}"


def write_object(object_id: str, value: str) -> str:
    """One object. Raises BrCodeError `tlv_malformed` unless the value has 1 to 99 characters."""
    if not 1 <= len(value) <= VALUE_CHARACTERS_MAX:
        raise BrCodeError("tlv_malformed", f"Object {object_id} must have 1 to 99 characters.")
    return f"{object_id}{len(value):02d}{value}"


def read_objects(text: str) -> Objects:
    """The objects in a row of them, in the order written; lengths count characters.

    Raises BrCodeError `tlv_malformed`. A repeated id is refused, so the work is bounded by the
    hundred ids that exist, however long the text is.
    """
    objects: dict[str, str] = {}
    at = 0
    while at < len(text):
        header = text[at : at + _HEADER_CHARACTERS]
        # isdigit alone takes digits of every script.
        if len(header) < _HEADER_CHARACTERS or not (header.isascii() and header.isdigit()):
            raise BrCodeError("tlv_malformed", f"There is no object header at character {at}.")
        object_id, length = header[:2], int(header[2:])
        at += _HEADER_CHARACTERS
        value = text[at : at + length]
        if length == 0 or len(value) < length:
            raise BrCodeError("tlv_malformed", f"Object {object_id} is empty or cut off.")
        if object_id in objects:
            raise BrCodeError("tlv_malformed", f"Object {object_id} is there twice.")
        objects[object_id] = value
        at += length
    return tuple(objects.items())
