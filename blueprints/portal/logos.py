"""Turn an uploaded logo into a new small PNG; the uploaded file itself is never stored."""

from __future__ import annotations

import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

from core.runtime.offload import offload
from db_models.logo import LOGO_BYTES_MAX

UPLOAD_BYTES_MAX = 2_097_152
PIXELS_MAX = 24_000_000
SIDE_MAX = 256
FORMATS = ("PNG", "JPEG", "WEBP")


class UnusableLogo(ValueError):
    """The file is not a PNG, JPEG or WebP picture, or is too large."""


def logo_png(data: bytes) -> bytes:
    """A PNG of at most 256 × 256 px and 60,000 bytes, rotated as the EXIF data says.

    Runs on a thread of its own. Raises UnusableLogo.
    """
    if not 0 < len(data) <= UPLOAD_BYTES_MAX:
        raise UnusableLogo
    return offload(_redraw, data)


def _redraw(data: bytes) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the merchant can do nothing about Pillow's warnings
            with Image.open(io.BytesIO(data), formats=FORMATS) as upload:
                width, height = upload.size  # from the header: no pixel is decoded yet
                if width * height > PIXELS_MAX or min(width, height) < 1:
                    raise UnusableLogo
                upload.draft("RGB", (SIDE_MAX * 2, SIDE_MAX * 2))
                upload.load()
                picture = ImageOps.exif_transpose(upload).convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise UnusableLogo from error
    except (ValueError, SyntaxError, EOFError, KeyError, IndexError) as error:
        # Pillow's parsers raise these for malicious files.
        raise UnusableLogo from error
    return _shrink(picture)


def _shrink(picture: Image.Image) -> bytes:
    for side, colors in ((SIDE_MAX, None), (SIDE_MAX, 256), (192, 128), (128, 64)):
        small = picture.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        if colors is not None:
            small = small.quantize(colors, method=Image.Quantize.FASTOCTREE)
        output = io.BytesIO()
        small.save(output, format="PNG", optimize=True)
        if output.tell() <= LOGO_BYTES_MAX:
            return output.getvalue()
    raise UnusableLogo
