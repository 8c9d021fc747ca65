"""A static Pix code for a key, which the payer's bank reads (BR Code, EMV QRCPS-MPM)."""

from __future__ import annotations

import unicodedata


def static_code(key: str, name: str, city: str) -> str:
    """The code; the payer types the amount. Name and city lose their accents."""
    account = _item("00", "br.gov.bcb.pix") + _item("01", key)
    body = (
        _item("00", "01")
        + _item("26", account)
        + _item("52", "0000")
        + _item("53", "986")
        + _item("58", "BR")
        + _item("59", _plain(name, 25))
        + _item("60", _plain(city, 15))
        + _item("62", _item("05", "***"))
        + "6304"
    )
    return body + f"{_crc16(body.encode()):04X}"


def _item(identifier: str, value: str) -> str:
    return f"{identifier}{len(value):02}{value}"


def _plain(text: str, length: int) -> str:
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return " ".join("".join(filter(str.isprintable, letters)).split())[:length].strip() or "X"


def _crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE, as the standard of the code demands."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc
