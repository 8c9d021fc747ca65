"""BR Code: the text inside a Pix QR, also pasted as "Pix copia e cola".

Rules are those of Banco Central's Manual do BR Code 2.0.1, of the Manual de Padrões para Iniciação
do Pix, and of EMVCo Merchant-Presented Mode 1.1. A static code holds a key; a dynamic one holds
the location that serves the payment's signed payload.
"""

from core.pix.br_code.decode import decode
from core.pix.br_code.encode import encode_dynamic, encode_recurring, encode_static
from core.pix.br_code.model import ERROR_CODES, BrCode, BrCodeError, BrCodeKind, Tlv
from core.pix.br_code.tlv import CHARACTERS_MAX, crc16

__all__ = [
    "CHARACTERS_MAX",
    "ERROR_CODES",
    "BrCode",
    "BrCodeError",
    "BrCodeKind",
    "Tlv",
    "crc16",
    "decode",
    "encode_dynamic",
    "encode_recurring",
    "encode_static",
]
