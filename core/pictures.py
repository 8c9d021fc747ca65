"""Open a picture that a stranger sent, within limits of format, size and memory.

The content decides the format; the file's name and declared type are ignored. Dimensions, and the
memory that the decoder will need, are read from the header before any pixel is unpacked: a file of
a few kilobytes can ask for gigabytes.
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
"""Bytes that one picture may take while it is unpacked, as `memory_of` estimates them: enough for
40 megapixels of colour in a PNG, 13 in a WebP, 30 in a progressive JPEG of full colour."""
PIXEL_SCANS_MAX = 600_000_000
"""Pixels times scans of one JPEG: the decoder visits every pixel in each scan, and a scan may be
twenty bytes long."""

# Pillow unpacks the compressed texts of a PNG while it reads the header; we do not use them.
PngImagePlugin.MAX_TEXT_MEMORY = PngImagePlugin.MAX_TEXT_CHUNK

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
    (b"mif1", "HEIC"),  # the container of several formats, most often HEIC
    (b"msf1", "HEIC"),
)
_MARKUP = re.compile(rb"<(?:svg|html|script|!doctype|\?php|\?xml)\b", re.I)
_SVG = re.compile(rb"<svg\b", re.I)
_TEXT_START = re.compile(rb"\A(?:\xef\xbb\xbf)?[\s]*<")
_HEAD_BYTES = 4096
_PDF_BYTES = 1024
"""PDF readers look for the header in the first 1,024 bytes of a file."""
_ZIP_END = b"PK\x05\x06"
_ZIP_END_BYTES, _ZIP_COMMENT_MAX = 22, 65_535
_JPEG_START = b"\xff\xd8"
"""By the bytes: Pillow calls a JPEG with further pictures behind it MPO."""
_JPEG_SCAN = b"\xff\xda"
_JPEG_END = b"\xff\xd9"


def format_of(data: bytes) -> str:
    """The format by content: one of FORMATS, another format's name, or `unknown`."""
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
    """The second format in a picture (PDF, ZIP, HTML) that another program would find, or None."""
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
def open_picture(data: bytes, *, pixels_max: int = PIXELS_MAX) -> Iterator[Image.Image]:
    """Open a picture and check its header; its pixels are not unpacked yet.

    Errors inside the block, such as those of unpacking, become typed errors too. Raises
    UnsupportedPicture (another format, or two at once), PictureTooLarge (over 5 MB, `pixels_max`,
    or the limits of memory and steps), UnreadablePicture (broken).
    """
    check_bytes(data)
    try:
        # libjpeg paints the missing part of a cut file grey if it meets an end mark, and refuses
        # the file otherwise.
        file = io.BytesIO(data + _JPEG_END if data.startswith(_JPEG_START) else data)
        with Image.open(file, formats=FORMATS) as image:
            _check_size(image, data, pixels_max)
            yield image
    except (PictureTooLarge, UnreadablePicture, UnsupportedPicture, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureTooLarge(_too_many_pixels(pixels_max)) from None
    except Exception as broken:
        # A hostile file can make a decoder raise nearly any exception.
        raise UnreadablePicture("The picture is broken or cut off.") from broken


def check_bytes(data: bytes) -> None:
    """Check that the bytes are one picture in one of FORMATS. Raises as `open_picture` does."""
    if len(data) > PICTURE_BYTES_MAX:
        raise PictureTooLarge(f"The file may have up to {PICTURE_BYTES_MAX // 2**20} MB.")
    if not data:
        raise UnreadablePicture("The file is empty.")
    picture_format = format_of(data)
    if picture_format not in FORMATS:
        raise UnsupportedPicture(picture_format)
    if second := second_format_of(data):
        raise UnsupportedPicture(second, picture_format)


def is_cut_off(data: bytes) -> bool:
    """Whether a JPEG lacks its end mark; the decoder paints the missing part grey."""
    return data.startswith(_JPEG_START) and _JPEG_END not in data[-(2**16) :]


def _check_size(image: Image.Image, data: bytes, pixels_max: int) -> None:
    pixels = image.width * image.height
    if pixels > pixels_max:
        raise PictureTooLarge(_too_many_pixels(pixels_max))
    if memory_of(image) > MEMORY_MAX:
        raise PictureTooLarge("The picture needs too much memory to be unpacked.")
    if data.startswith(_JPEG_START) and data.count(_JPEG_SCAN) * pixels > PIXEL_SCANS_MAX:
        raise PictureTooLarge("The picture takes too many steps to be unpacked.")


def _too_many_pixels(pixels_max: int) -> str:
    return f"The picture may have up to {pixels_max // 10**6} megapixels."


def memory_of(image: Image.Image) -> int:
    """The peak memory in bytes of unpacking, estimated from measurements of the decoders.

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
    """The picture in greyscale on paper of this shade, `factor` times smaller.

    Works strip by strip, so that memory holds little more than the picture and the result.
    """
    return _in_strips(image, factor, "L", paper)


def colours(image: Image.Image, factor: int = 1) -> Image.Image:
    """The picture in RGB on white paper, otherwise as `shades`."""
    return _in_strips(image, factor, "RGB", 255)


def has_holes(image: Image.Image) -> bool:
    """Whether parts of the picture may be transparent."""
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _in_strips(image: Image.Image, factor: int, mode: str, paper: int) -> Image.Image:
    image.load()
    if image.mode == mode and factor == 1 and not has_holes(image):
        return image.copy()
    size = (-(-image.width // factor), -(-image.height // factor))
    result = Image.new(mode, size)
    rows = max(1, _STRIP_PIXELS // image.width // factor) * factor
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        plain = _on_paper(strip, image, mode, paper)
        result.paste(plain.reduce(factor) if factor > 1 else plain, (0, top // factor))
    return result


def _on_paper(strip: Image.Image, image: Image.Image, mode: str, paper: int) -> Image.Image:
    if has_holes(image):
        strip.info = dict(image.info)
        foreground = strip.convert("RGBA")
        sheet = Image.new("RGBA", foreground.size, (paper, paper, paper, 255))
        return Image.alpha_composite(sheet, foreground).convert(mode)
    if image.mode.startswith("I;16"):
        # Pillow clips 16-bit values at 255 instead of scaling them.
        grey = strip.convert("I").point(lambda value: value * (1 / 257)).convert("L")
        return grey if mode == "L" else grey.convert(mode)
    return strip.convert(mode)
