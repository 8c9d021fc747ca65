"""A logo that somebody sent, made into a small PNG of ours: nothing of the file itself is kept."""

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
    """No picture of a kind we take, or too large a one."""


def logo_png(data: bytes) -> bytes:
    """The picture as a PNG of at most 256 × 256 px and 60,000 bytes, turned as its EXIF says.

    Works on a thread of its own. Raises UnusableLogo.
    """
    if not 0 < len(data) <= UPLOAD_BYTES_MAX:
        raise UnusableLogo
    return offload(_drawn_again, data)


def _drawn_again(data: bytes) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a picture's oddities its owner is not to be told
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                width, height = opened.size  # known before a pixel is unpacked
                if width * height > PIXELS_MAX or min(width, height) < 1:
                    raise UnusableLogo
                opened.draft("RGB", (SIDE_MAX * 2, SIDE_MAX * 2))
                opened.load()
                picture = ImageOps.exif_transpose(opened).convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise UnusableLogo from error
    except (ValueError, SyntaxError, EOFError, KeyError, IndexError) as error:
        # Pillow's parsers raise these on files made to hurt.
        raise UnusableLogo from error
    return _small_enough(picture)


def _small_enough(picture: Image.Image) -> bytes:
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
