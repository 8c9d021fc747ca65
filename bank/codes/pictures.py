"""Finding the Pix code in a picture; what comes is untrusted, and read on a thread of its own."""

from __future__ import annotations

from collections.abc import Iterable

import zxingcpp
from PIL import Image, ImageOps

from bank.errors import ScanRefused, ScanTooLarge
from core import errors, pictures
from core.pix import br_code
from core.runtime.offload import offload

PICTURE_BYTES_MAX = pictures.PICTURE_BYTES_MAX
_QR = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
_TOO_MANY_PIXELS = "A imagem pode ter até 40 megapixels. Envie um recorte só com o QR code."
_SIDE_MAX = 2000
"""A picture is made smaller by whole factors while its longer side stays above this."""


def code_in(picture: bytes) -> str:
    """The text of the one Pix code in a PNG, JPEG, GIF or WebP picture.

    At most 5 MB and 40 megapixels. Raises ScanRefused, with a sentence for the payer, where
    there is none, or several different ones, and ScanTooLarge.
    """
    if len(picture) > PICTURE_BYTES_MAX:
        raise ScanTooLarge("A imagem pode ter até 5 MB. Envie um recorte só com o QR code.")
    return _pix_among(offload(_texts_in, picture))


def _pix_among(texts: Iterable[str]) -> str:
    found = list(dict.fromkeys(text.strip() for text in texts))
    pix = [text for text in found if _is_pix(text)]
    if len(pix) == 1:
        return pix[0]
    if pix:
        raise ScanRefused(
            "Há mais de um código Pix na imagem. Aproxime ou recorte até aparecer só um."
        )
    if found:
        raise ScanRefused("Há um QR code na imagem, mas não é de Pix, ou está danificado.")
    raise ScanRefused(
        "Nenhum QR code foi encontrado. Tente com mais luz, mais perto e sem reflexo."
    )


def _is_pix(text: str) -> bool:
    try:
        br_code.decode(text)
    except br_code.BrCodeError:
        return False
    return True


def _texts_in(picture: bytes) -> list[str]:
    """The texts of every QR code in the picture."""
    try:
        with pictures.opened(picture) as image:
            # A JPEG is decoded small at once, where that is enough.
            image.draft("L", (_SIDE_MAX, _SIDE_MAX))
            grey = pictures.shades(image, max(1, max(image.size) // _SIDE_MAX))
    except errors.PictureTooLarge:
        raise ScanTooLarge(_TOO_MANY_PIXELS) from None
    except errors.PictureRefused:
        raise ScanRefused("Isto não é uma imagem PNG, JPEG, GIF ou WebP legível.") from None
    for attempt in (grey, ImageOps.autocontrast(grey), _twice(grey)):
        if texts := [one.text for one in zxingcpp.read_barcodes(attempt, formats=_QR)]:
            return texts
    return []


def _twice(image: Image.Image) -> Image.Image:
    if max(image.size) * 2 > _SIDE_MAX:
        return image
    return image.resize((image.width * 2, image.height * 2))
