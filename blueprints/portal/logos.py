"""Turn an uploaded logo into a new small PNG; the uploaded file itself is never stored."""

from __future__ import annotations

import io
import warnings

from PIL import Image, ImageOps

from core.errors import PictureRefused, PictureTooLarge, UnreadablePicture, UnsupportedPicture
from core.pictures import format_of, is_cut_off, open_picture
from core.runtime.offload import Places
from db_models.logo import LOGO_BYTES_MAX

UPLOAD_BYTES_MAX = 2_097_152
PIXELS_MAX = 24_000_000
WIDTH_MAX, HEIGHT_MAX = 320, 256
"""In pixels: pages draw a logo up to 160 px wide, and a screen may have two pixels for each."""
FORMATS = ("PNG", "JPEG", "WEBP")

LOGOS_AT_ONCE_MAX = 1
LOGOS_WAITING_MAX = 20
LOGOS_PER_MERCHANT_MAX = 2
LOGO_WAIT_SECONDS = 10.0

_places = Places(
    LOGOS_AT_ONCE_MAX,
    LOGOS_WAITING_MAX,
    share_max=LOGOS_PER_MERCHANT_MAX,
    wait_seconds=LOGO_WAIT_SECONDS,
)


class UnusableLogo(ValueError):
    """The file is not a PNG, JPEG or WebP picture."""


class LogoTooLarge(UnusableLogo):
    """The file has too many bytes or pixels, or takes too much work to unpack."""


def logo_png(data: bytes, owner: str) -> bytes:
    """A PNG of at most 320 × 256 px and 60,000 bytes, in the picture's ratio.

    It is rotated as the EXIF data says. Runs on a thread of its own. Raises UnusableLogo, Busy, and
    TooManyRequests if the owner has LOGOS_PER_MERCHANT_MAX pictures here already.
    """
    if len(data) > UPLOAD_BYTES_MAX:
        raise LogoTooLarge
    return _places.run(_redraw, data, owner=owner)


def _redraw(data: bytes) -> bytes:
    try:
        if format_of(data) not in FORMATS:
            raise UnsupportedPicture(format_of(data))
        if is_cut_off(data):
            raise UnreadablePicture("The picture is cut off.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the merchant can do nothing about Pillow's warnings
            with open_picture(data, pixels_max=PIXELS_MAX) as upload:
                upload.draft("RGB", (WIDTH_MAX * 2, HEIGHT_MAX * 2))
                upload.load()
                picture = ImageOps.exif_transpose(upload).convert("RGBA")
    except PictureTooLarge as error:
        raise LogoTooLarge from error
    except PictureRefused as error:
        raise UnusableLogo from error
    return _shrink(picture)


def _shrink(picture: Image.Image) -> bytes:
    for share, colors in ((1.0, None), (1.0, 256), (0.75, 128), (0.5, 64)):
        small = picture.copy()
        small.thumbnail((WIDTH_MAX * share, HEIGHT_MAX * share), Image.Resampling.LANCZOS)
        if colors is not None:
            small = small.quantize(colors, method=Image.Quantize.FASTOCTREE)
        output = io.BytesIO()
        small.save(output, format="PNG", optimize=True)
        if output.tell() <= LOGO_BYTES_MAX:
            return output.getvalue()
    raise UnusableLogo
