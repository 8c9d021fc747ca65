"""Each picture is read, or refused with a typed error, within limits of time and memory."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from blueprints.recovery.reading import decode_picture, is_ours
from core.errors import PictureRefused, PictureTooLarge, UnreadablePicture, UnsupportedPicture
from core.pictures import PICTURE_BYTES_MAX, PIXELS_MAX, format_of
from core.pix.br_code import encode_dynamic
from payments.qr_image import qr_png, qr_svg

ROOT = Path(__file__).resolve().parents[2]
BASE = "pix.loja.example"
CODE = encode_dynamic(f"{BASE}/qr/v2/{'8b3da2f3' * 4}", "Loja da Alice", "SAO PAULO")
OTHER = encode_dynamic(f"outra.example/qr/v2/{'0' * 32}", "Outra", "Recife")


def qr(text: str = CODE, side: int | None = None) -> Image.Image:
    """The service's QR of a text, in grey."""
    image = Image.open(io.BytesIO(qr_png(text))).convert("L")
    return image if side is None else image.resize((side, side), Image.Resampling.NEAREST)


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    """The file's bytes."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png_of(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A grey PNG whose header claims this size, with these chunks."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, body in ((b"IHDR", header), *chunks, (b"IEND", b"")):
        parts.append(struct.pack(">I", len(body)) + kind + body)
        parts.append(struct.pack(">I", zlib.crc32(kind + body)))
    return b"".join(parts)


def texts(data: bytes, **options) -> tuple[str, ...]:
    """The texts of the codes in the file."""
    return decode_picture(data, **options).texts


# --- readable pictures ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_each_format_is_recognised_by_its_content(kind: str):
    """The file has no name and no declared type."""
    data = saved(qr(), kind)

    assert format_of(data) == kind
    assert (texts(data), decode_picture(data).rung) == ((CODE,), "as it is")


@pytest.mark.parametrize(
    "image",
    [
        qr().convert("1"),
        qr().convert("P"),
        qr().convert("RGB"),
        qr().convert("RGBA"),
        qr().convert("LA"),
        qr().convert("I;16").point(lambda value: value * 257),
    ],
    ids=lambda image: image.mode,
)
def test_each_kind_of_pixel_is_read(image: Image.Image):
    """One bit, palette, sixteen bits, with and without transparency."""
    assert texts(saved(image)) == (CODE,)


def test_a_cmyk_jpeg_is_read():
    """Designers export CMYK for print."""
    assert texts(saved(qr().convert("CMYK"), "JPEG")) == (CODE,)


def test_a_progressive_jpeg_is_read():
    """Messengers send progressive JPEGs."""
    assert texts(saved(qr().convert("RGB"), "JPEG", progressive=True)) == (CODE,)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_turned_by_its_exif_is_read(orientation: int):
    """Phones store the sensor's rows, and the orientation in Exif."""
    exif = Image.Exif()
    exif[0x0112] = orientation

    assert texts(saved(qr().convert("RGB"), "JPEG", exif=exif)) == (CODE,)


@pytest.mark.parametrize(("ink", "rung"), [((0, 0, 0), "as it is"), ((255, 255, 255), "contrast")])
def test_a_transparent_picture_is_read_on_the_background_that_shows_it(ink, rung: str):
    """A code cut out of a dark page has light modules on a transparent background."""
    size = qr().size
    image = Image.new("RGBA", size, (*ink, 0))
    image.paste((*ink, 255), (0, 0), qr().point(lambda value: 255 - value))
    reading = decode_picture(saved(image))

    assert (reading.texts, reading.rung) == ((CODE,), rung)


def test_a_code_in_colours_of_one_brightness_is_read():
    """The code has no contrast in grey, but in green."""
    dark, light = (
        Image.new("RGB", qr().size, (200, 60, 60)),
        Image.new("RGB", qr().size, (60, 131, 60)),
    )
    image = Image.composite(light, dark, qr())
    greys = image.convert("L").tobytes()
    assert max(greys) - min(greys) <= 1
    reading = decode_picture(saved(image))

    assert (reading.texts, reading.rung) == ((CODE,), "channels")


def test_a_code_that_appears_in_an_animation_is_read():
    """The GIF begins with a title; only the first FRAMES_MAX frames are read."""
    blank = Image.new("L", qr().size, 255)

    def animated(before: int) -> bytes:
        title = [blank.point(lambda value, n=n: value - n) for n in range(before)]
        frames = [*title, qr()]
        return saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)

    reading = decode_picture(animated(3))

    assert (reading.texts, reading.rung) == ((CODE,), "later frames")
    assert texts(animated(4)) == ()


def test_a_small_code_in_a_very_large_picture_is_read():
    """Forty megapixels are reduced first, and then read in parts."""
    poster = Image.new("L", (7990, 5000), 235)
    poster.paste(qr(side=260), (6800, 4100))
    reading = decode_picture(saved(poster), budget_seconds=20)

    assert (reading.texts, reading.rung) == ((CODE,), "full size")


def test_all_codes_of_a_picture_are_returned():
    """The caller chooses among them."""
    sheet = Image.new("L", (1300, 600), 255)
    sheet.paste(qr(), (10, 10))
    sheet.paste(qr(OTHER), (700, 10))

    assert set(texts(saved(sheet))) == {CODE, OTHER}


def test_the_search_goes_on_for_a_code_of_ours():
    """The other shop's crisp code is found first, ours is dim."""
    sheet = Image.new("L", (1300, 600), 255)
    sheet.paste(qr(OTHER), (10, 10))
    dim = qr().point(lambda value: 236 + value // 20)
    sheet.paste(dim.resize(dim.size), (700, 10))
    data = saved(sheet)

    reading = decode_picture(data, is_ours=lambda text: is_ours(text, location_base=BASE))

    assert texts(data) == (OTHER,)
    assert reading.texts == (OTHER, CODE)


def test_other_symbols_are_not_read():
    """The error check of a Micro QR or a bar code is too weak to identify a payment."""
    import zxingcpp

    for kind in ("MicroQRCode", "DataMatrix", "Code128", "Aztec"):
        barcode = zxingcpp.create_barcode("123456", getattr(zxingcpp.BarcodeFormat, kind))
        image = Image.fromarray(
            zxingcpp.write_barcode_to_image(barcode, scale=6, add_quiet_zones=True)
        )
        assert texts(saved(image)) == (), kind


def test_a_picture_without_a_code_has_no_texts():
    """No code is not an error of the reader; the page says what to try."""
    reading = decode_picture(saved(Image.new("RGB", (300, 200), "green")))

    assert (reading.texts, reading.rung) == ((), None)


# --- incomplete and broken pictures --------------------------------------------------------------


def test_a_jpeg_cut_below_its_code_is_read():
    """An incomplete download still shows the upper part, which contains the code."""
    screen = Image.new("L", (600, 1400), 255)
    screen.paste(qr(side=500), (50, 50))
    screen.paste(Image.effect_noise((600, 700), 90), (0, 700))
    data = saved(screen, "JPEG", quality=90)

    assert texts(data[: len(data) // 2]) == (CODE,)


@pytest.mark.parametrize("share", [1, 5, 10, 20, 40])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_picture_cut_above_its_code_is_unreadable(kind: str, share: int):
    """The header is complete, but the pixels are not."""
    data = saved(qr().convert("RGB"), kind)

    with pytest.raises(UnreadablePicture):
        texts(data[: max(20, len(data) * share // 100)])


FILES = [
    saved(qr().resize((220, 220)).convert("RGB"), kind) for kind in ("PNG", "JPEG", "GIF", "WEBP")
]


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    st.floats(0, 1),
)
def test_a_damaged_file_is_read_or_refused(
    data: bytes, changes: list[tuple[float, int]], end: float
):
    """Decoders raise many errors for a hostile file; callers get only PictureRefused."""
    damaged = bytearray(data)
    for at, value in changes:
        damaged[int(at * len(damaged))] = value
    if end < 0.3:
        del damaged[int(end / 0.3 * len(damaged)) :]
    try:
        damaged_texts = texts(bytes(damaged), budget_seconds=0.2)
    except PictureRefused:
        return
    assert damaged_texts in ((), (CODE,))


# --- other formats, and two formats in one file --------------------------------------------------


def zipped() -> bytes:
    """An archive of one file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x.txt", "x")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "found_format"),
    [
        (qr_svg(CODE), "SVG"),
        (b"<?xml version='1.0'?>\n<!-- x -->\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf  <svg onload='alert(1)'/>", "SVG"),
        (b"<!DOCTYPE html><script>alert(1)</script>", "HTML"),
        (b"<a>", "text"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isom", "video"),
        (b"%PDF-1.7\n", "PDF"),
        (zipped(), "ZIP"),
        (saved(Image.new("L", (9, 9)), "BMP"), "BMP"),
        (saved(Image.new("L", (9, 9)), "TIFF"), "TIFF"),
        (saved(Image.new("L", (32, 32)), "ICO"), "icon"),
        (saved(Image.new("L", (9, 9)), "AVIF"), "AVIF"),
        (b"\xff\x0a\xfa", "JPEG XL"),
        (b"MZ\x90", "program"),
        (b"RIFF\0\0\0\0WAVE", "unknown"),
        (b"hello", "unknown"),
        (b"\x89PNX" + bytes(100), "unknown"),
    ],
)
def test_another_format_is_refused_by_its_name(data: bytes, found_format: str):
    """A page can then say that the photo is HEIC, and to choose a compatible format."""
    with pytest.raises(UnsupportedPicture) as refusal:
        texts(data)

    assert (refusal.value.found_format, refusal.value.picture_format) == (found_format, None)
    assert found_format in refusal.value.detail


def _with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data[:33] + chunk + data[33:]


@pytest.mark.parametrize(
    ("data", "found_format"),
    [
        (saved(qr()) + zipped(), "ZIP"),
        (saved(qr(), "JPEG") + zipped(), "ZIP"),
        (saved(qr(), "GIF") + zipped()[:-2] + b"\x03\0abc", "ZIP"),
        (_with_chunk(saved(qr()), b"tEXt", b"a\0%PDF-1.4\n1 0 obj"), "PDF"),
        (_with_chunk(saved(qr()), b"tEXt", b"a\0<script>alert(1)</script>"), "HTML"),
        (saved(qr(), "JPEG", comment=b"<?php system($_GET['x']); ?>"), "HTML"),
        (saved(qr(), "GIF", comment=b"<html><svg onload=alert(1)>"), "HTML"),
    ],
)
def test_two_formats_in_one_file_are_refused(data: bytes, found_format: str):
    """Another program would open the second format, which is an attack."""
    with pytest.raises(UnsupportedPicture) as refusal:
        texts(data)

    assert refusal.value.found_format == found_format
    assert refusal.value.picture_format in ("PNG", "JPEG", "GIF")


def test_data_that_phones_append_to_a_picture_is_ignored():
    """Motion photos contain a film, and editors add XMP."""
    film = b"\0\0\0\x18ftypmp42\0\0\0\0isom" + bytes(5000)
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF/></x:xmpmeta>"

    assert texts(saved(qr(), "JPEG") + film) == (CODE,)
    assert texts(saved(qr(), "JPEG", xmp=xmp)) == (CODE,)


# --- too large pictures --------------------------------------------------------------------------


def test_a_file_may_have_5_megabytes_and_no_byte_more():
    """Padding after the picture counts, because it takes memory too."""
    data = saved(qr())

    assert texts(data + bytes(PICTURE_BYTES_MAX - len(data))) == (CODE,)
    with pytest.raises(PictureTooLarge):
        texts(data + bytes(PICTURE_BYTES_MAX + 1 - len(data)))


def test_an_empty_file_is_unreadable():
    """A form without a chosen file sends an empty one."""
    with pytest.raises(UnreadablePicture):
        texts(b"")


@pytest.mark.parametrize(
    "size", [(20_000, 20_000), (8_000, 5_001), (1, PIXELS_MAX + 1), (2**31 - 1,) * 2]
)
def test_a_pixel_bomb_is_refused_by_its_header(size: tuple[int, int]):
    """The file is refused before its pixels are decoded."""
    row = zlib.compress(bytes(10_000_000), 9)
    data = png_of(*size, (b"IDAT", row))
    started_at = time.perf_counter()
    with pytest.raises(PictureTooLarge):
        texts(data)

    assert time.perf_counter() - started_at < 0.5


def test_forty_megapixels_are_read():
    """This is the other side of the limit."""
    data = saved(Image.new("1", (8_000, 5_000), 1))

    assert texts(data, budget_seconds=0) == ()


def test_a_picture_that_takes_too_much_memory_to_decode_is_refused():
    """WebP takes sixteen bytes per pixel, and a progressive JPEG six."""
    webp = saved(Image.new("RGB", (5000, 3400)), "WEBP", quality=1, method=0)
    jpeg = saved(
        Image.new("RGB", (7000, 5600)), "JPEG", progressive=True, subsampling=0, quality=10
    )
    for data in (webp, jpeg):
        with pytest.raises(PictureTooLarge):
            texts(data)
    within = saved(Image.new("RGB", (4096, 3190)), "WEBP", quality=1, method=0)
    assert texts(within, budget_seconds=0) == ()


def test_a_jpeg_of_a_thousand_scans_is_refused():
    """Each scan visits all pixels, so a small file could occupy a core for hours."""
    data = saved(Image.new("RGB", (4000, 3000)), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]

    with pytest.raises(PictureTooLarge):
        texts(data[:-2] + scan * 1000 + b"\xff\xd9")


def test_compressed_texts_in_a_png_are_not_unpacked():
    """Five megabytes of compressed text would unpack to gigabytes when the header is read."""
    compressed_text = b"k\0\0" + zlib.compress(bytes(900_000), 9)
    data = png_of(8, 8, *[(b"zTXt", compressed_text)] * 500, (b"IDAT", zlib.compress(bytes(72))))
    with pytest.raises(UnreadablePicture):
        texts(data)


_PEAK = """
import re, sys
from pathlib import Path
from core.runtime.memory import return_large_blocks
from blueprints.recovery.reading import decode_picture, reencode

def peak():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) // 1024

return_large_blocks()
data = sys.stdin.buffer.read()
before = peak()
decode_picture(data)
reencode(data)
sys.stdout.write(str(peak() - before))
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGBA", "P", "RGB"])
def test_the_largest_picture_takes_a_bounded_amount_of_memory(mode: str):
    """The picture is decoded in its own process, whose memory must stay under 250 MB."""
    image = Image.new("RGB", (8000, 5000), (200, 10, 20))
    if mode == "RGBA":
        image.putalpha(120)
    data = saved(image.quantize(2) if mode == "P" else image)
    process = subprocess.run(
        [sys.executable, "-c", _PEAK],
        input=data,
        capture_output=True,
        cwd=ROOT,
        check=True,
        timeout=90,
    )

    assert 30 < int(process.stdout) < 250


# --- time ----------------------------------------------------------------------------------------


def test_no_attempt_starts_after_the_time_limit():
    """Noise takes every rung of the ladder that the time limit allows."""
    noise = Image.effect_noise((1500, 1500), 120)
    data = saved(noise)
    whole = decode_picture(data, budget_seconds=60).looked_ms
    cut = decode_picture(data, budget_seconds=0.05).looked_ms

    assert cut < whole / 2
    assert decode_picture(data, budget_seconds=0).texts == ()
