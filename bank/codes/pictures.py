"""Finds the Pix code in a picture. Pictures are untrusted and decoded on a worker thread."""

from __future__ import annotations

from collections.abc import Iterable

import zxingcpp
from PIL import Image, ImageOps

from bank.errors import BankBusy, ScanRefused, ScanTooLarge
from bank.languages import translate as _
from core import errors, pictures
from core.pix import br_code
from core.runtime.offload import Places

PICTURE_BYTES_MAX = pictures.PICTURE_BYTES_MAX
_QR = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
_SIDE_MAX = 2000
"""A larger picture is reduced by a whole factor before it is searched."""
SCANS_AT_ONCE_MAX = 1
SCANS_WAITING_MAX = 40
SCANS_PER_PAYER_MAX = 4
SCAN_WAIT_SECONDS = 10.0

_places = Places(
    SCANS_AT_ONCE_MAX,
    SCANS_WAITING_MAX,
    share_max=SCANS_PER_PAYER_MAX,
    wait_seconds=SCAN_WAIT_SECONDS,
    busy=BankBusy,
)


def code_in(picture: bytes, payer: str = "") -> str:
    """The text of the only Pix code in a PNG, JPEG, GIF or WebP picture.

    Raises ScanRefused if the picture holds no Pix code or several different ones, and
    ScanTooLarge above 5 MB, 40 megapixels or the memory and steps of `open_picture`; BankBusy, and
    TooManyRequests if the payer has its share of the places already.
    """
    if len(picture) > PICTURE_BYTES_MAX:
        raise ScanTooLarge(_("A imagem pode ter até 5 MB. Envie um recorte só com o QR code."))
    try:
        texts = _places.run(_texts_in, picture, owner=payer)
    except errors.PictureTooLarge:
        raise ScanTooLarge(
            _(
                "A imagem é grande ou complexa demais: pode ter até 40 megapixels. "
                "Envie um recorte só com o QR code."
            )
        ) from None
    except errors.PictureRefused as error:
        if isinstance(error, errors.UnsupportedPicture) and error.found_format == "PDF":
            raise ScanRefused(
                _("Um PDF não é uma imagem: abra-o, tire um print da tela e envie o print.")
            ) from None
        raise ScanRefused(_("Isto não é uma imagem PNG, JPEG, GIF ou WebP legível.")) from None
    return _only_pix_code(texts)


def _only_pix_code(texts: Iterable[str]) -> str:
    distinct_texts = list(dict.fromkeys(text.strip() for text in texts))
    pix_codes = [text for text in distinct_texts if _is_pix(text)]
    if len(pix_codes) == 1:
        return pix_codes[0]
    if pix_codes:
        raise ScanRefused(
            _("Há mais de um código Pix na imagem. Aproxime ou recorte até aparecer só um.")
        )
    if distinct_texts:
        raise ScanRefused(_("Há um QR code na imagem, mas não é de Pix, ou está danificado."))
    raise ScanRefused(
        _("Nenhum QR code foi encontrado. Tente com mais luz, mais perto e sem reflexo.")
    )


def _is_pix(text: str) -> bool:
    try:
        br_code.decode(text)
    except br_code.BrCodeError:
        return False
    return True


def _texts_in(picture: bytes) -> list[str]:
    """The texts of every QR code in the picture. Raises PictureRefused.

    It runs on another thread, which knows neither the request nor its language.
    """
    with pictures.open_picture(picture) as image:
        # Pillow then decodes a large JPEG at a reduced size, which is faster.
        image.draft("L", (_SIDE_MAX, _SIDE_MAX))
        grey = pictures.shades(image, max(1, max(image.size) // _SIDE_MAX))
    for attempt in (grey, ImageOps.autocontrast(grey), _enlarge(grey)):
        if texts := [qr.text for qr in zxingcpp.read_barcodes(attempt, formats=_QR)]:
            return texts
    return []


def _enlarge(image: Image.Image) -> Image.Image:
    if max(image.size) * 2 > _SIDE_MAX:
        return image
    return image.resize((image.width * 2, image.height * 2))
