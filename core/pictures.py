"""Opening a picture that a stranger sent: what it may be, how large, and nothing else of it.

The content says what a file is; its name and claimed type say nothing. Sizes are read from the
header before any pixel is unpacked, and so is what the decoder will need: a file of a few
kilobytes may ask for gigabytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, PngImagePlugin
from PIL.JpegImagePlugin import JpegImageFile

from core.errors import PictureTooLarge, UnreadablePicture, UnsupportedPicture

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
PICTURE_BYTES_MAX = 5 * 1024 * 1024
PIXELS_MAX = 40_000_000
MEMORY_MAX = 200 * 1024 * 1024
"""What one picture may take while it is unpacked, by the estimate of `memory_of`: room for 40
megapixels of colour in a PNG, 13 in a WebP, 30 in a progressive JPEG of full colour."""
PIXEL_SCANS_MAX = 600_000_000
"""Pixels times scans of one JPEG: a progressive one goes over all its pixels with each scan, and a
scan may be twenty bytes long."""

# Texts inside a PNG are compressed and unpacked while its header is read; nobody reads them here.
PngImagePlugin.MAX_TEXT_MEMORY = PngImagePlugin.MAX_TEXT_CHUNK

_TOO_MANY_PIXELS = f"The picture may have up to {PIXELS_MAX // 10**6} megapixels."
_STRIP_PIXELS = 500_000
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"%PDF-", "PDF"),
    (b"PK\x03\x04", "ZIP"),
    (b"PK\x05\x06", "ZIP"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"8BPS", "Photoshop"),
    (b"\x1f\x8b", "gzip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!", "RAR"),
    (b"MZ", "program"),
    (b"\x7fELF", "program"),
    (b"\0\0\1\0", "icon"),
    (b"\x1aE\xdf\xa3", "video"),
)
_BRANDS = (
    (b"heic", "HEIC"),
    (b"heix", "HEIC"),
    (b"hevc", "HEIC"),
    (b"heim", "HEIC"),
    (b"heis", "HEIC"),
    (b"avif", "AVIF"),
    (b"avis", "AVIF"),
    (b"mif1", "HEIC"),  # any picture of this container, and commonly that one
    (b"msf1", "HEIC"),
)
_MARKUP = re.compile(rb"<(?:svg|html|script|!doctype|\?php|\?xml)\b", re.I)
_SVG = re.compile(rb"<svg\b", re.I)
_TEXT_START = re.compile(rb"\A(?:\xef\xbb\xbf)?[\s]*<")
_HEAD_BYTES = 4096
_PDF_BYTES = 1024
"""Readers of PDF look for its header this far into a file."""
_ZIP_END = b"PK\x05\x06"
_ZIP_END_BYTES, _ZIP_COMMENT_MAX = 22, 65_535
_JPEG_SCAN = b"\xff\xda"
_JPEG_END = b"\xff\xd9"


def format_of(data: bytes) -> str:
    """What the content is: one of FORMATS, another format's name, or `unknown`."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for beginning, name in _BEGINNINGS:
        if data.startswith(beginning):
            return name
    if data[4:8] == b"ftyp":
        brands = data[8:12] + data[16:64]
        return next((name for brand, name in _BRANDS if brand in brands), "video")
    head = data[:_HEAD_BYTES]
    if _TEXT_START.match(head):
        return "SVG" if _SVG.search(head) else "HTML" if _MARKUP.search(head) else "text"
    return "unknown"


def second_format_of(data: bytes) -> str | None:
    """What a picture is besides: a PDF, a ZIP or markup that another program would find in it."""
    head = data[:_HEAD_BYTES]
    if b"%PDF-" in head[:_PDF_BYTES]:
        return "PDF"
    if _MARKUP.search(head) and b"<x:xmpmeta" not in head:
        return "HTML"
    tail = data[-(_ZIP_END_BYTES + _ZIP_COMMENT_MAX) :]
    end = tail.rfind(_ZIP_END)
    if end >= 0 and len(tail) - end >= _ZIP_END_BYTES:
        comment = int.from_bytes(tail[end + 20 : end + 22], "little")
        if end + _ZIP_END_BYTES + comment == len(tail):
            return "ZIP"
    return None


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """The picture, its header read and checked, its pixels not yet unpacked.

    Whatever goes wrong inside the block, unpacking for one, is raised as a typed error too:
    UnsupportedPicture (another format, or two at once), PictureTooLarge (over 5 MB, 40 megapixels
    or the memory to unpack it), UnreadablePicture (broken).
    """
    check_bytes(data)
    try:
        # libjpeg fills up a cut file where its end mark comes too early, and else refuses it.
        file = io.BytesIO(data + _JPEG_END if data[:2] == b"\xff\xd8" else data)
        with Image.open(file, formats=FORMATS) as image:
            _check_size(image, data)
            yield image
    except (PictureTooLarge, UnreadablePicture, UnsupportedPicture, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureTooLarge(
            f"The picture may have up to {PIXELS_MAX // 10**6} megapixels."
        ) from None
    except Exception as broken:
        # A hostile file makes a decoder raise nearly anything.
        raise UnreadablePicture("The picture is broken or cut off.") from broken


def check_bytes(data: bytes) -> None:
    """Pass what is one picture of a format read here. Raises as `opened` does."""
    if len(data) > PICTURE_BYTES_MAX:
        raise PictureTooLarge(f"The file may have up to {PICTURE_BYTES_MAX // 2**20} MB.")
    if not data:
        raise UnreadablePicture("The file is empty.")
    found = format_of(data)
    if found not in FORMATS:
        raise UnsupportedPicture(found)
    if second := second_format_of(data):
        raise UnsupportedPicture(second, inside=found)


def is_cut_off(data: bytes) -> bool:
    """Whether a JPEG lacks its end mark; the decoder then paints the rest grey."""
    return data[:2] == b"\xff\xd8" and _JPEG_END not in data[-(2**16) :]


def _check_size(image: Image.Image, data: bytes) -> None:
    pixels = image.width * image.height
    if pixels > PIXELS_MAX:
        raise PictureTooLarge(_TOO_MANY_PIXELS)
    if memory_of(image) > MEMORY_MAX:
        raise PictureTooLarge("The picture needs too much memory to be unpacked.")
    if image.format == "JPEG" and data.count(_JPEG_SCAN) * pixels > PIXEL_SCANS_MAX:
        raise PictureTooLarge("The picture takes too many steps to be unpacked.")


def memory_of(image: Image.Image) -> int:
    """The bytes that unpacking takes at its height, by what decoders were measured to take.

    Pillow keeps four bytes for a pixel of colour. WebP's decoder keeps the canvas twice beside the
    picture and the copy handed over; libjpeg keeps every coefficient of a progressive file.
    """
    pixels = image.width * image.height
    if image.format == "WEBP":
        return pixels * 16
    if isinstance(image, JpegImageFile):
        unpacked = pixels * (4 if image.mode == "CMYK" else 1)
        if not image.info.get("progressive"):
            return unpacked + pixels
        return unpacked + round(2 * pixels * _samples_per_pixel(image))
    if image.format == "GIF":
        return pixels * 5
    return pixels * (2 if image.mode in ("1", "L", "P") else 5)


def _samples_per_pixel(image: JpegImageFile) -> float:
    shares = [horizontal * vertical for _, horizontal, vertical, _ in image.layer]
    return sum(shares) / max(shares)


def shades(image: Image.Image, factor: int = 1, *, paper: int = 255) -> Image.Image:
    """The picture in shades of grey on a paper of this shade, `factor` times smaller.

    Worked strip by strip: beside the picture itself only a little more than the answer is held.
    """
    return _in_strips(image, factor, "L", paper)


def colours(image: Image.Image, factor: int = 1) -> Image.Image:
    """The picture in red, green and blue on white paper, else as `shades`."""
    return _in_strips(image, factor, "RGB", 255)


def has_holes(image: Image.Image) -> bool:
    """Whether parts of the picture may be transparent."""
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _in_strips(image: Image.Image, factor: int, mode: str, paper: int) -> Image.Image:
    image.load()
    if image.mode == mode and factor == 1 and not has_holes(image):
        return image.copy()
    size = (-(-image.width // factor), -(-image.height // factor))
    answer = Image.new(mode, size)
    rows = max(1, _STRIP_PIXELS // image.width // factor) * factor
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        plain = _on_paper(strip, image, mode, paper)
        answer.paste(plain.reduce(factor) if factor > 1 else plain, (0, top // factor))
    return answer


def _on_paper(strip: Image.Image, image: Image.Image, mode: str, paper: int) -> Image.Image:
    if has_holes(image):
        strip.info = dict(image.info)
        seen = strip.convert("RGBA")
        sheet = Image.new("RGBA", seen.size, (paper, paper, paper, 255))
        return Image.alpha_composite(sheet, seen).convert(mode)
    if image.mode.startswith("I;16"):
        # Pillow cuts sixteen bits off at 255 instead of scaling them.
        grey = strip.convert("I").point(lambda value: value * (1 / 257)).convert("L")
        return grey if mode == "L" else grey.convert(mode)
    return strip.convert(mode)
