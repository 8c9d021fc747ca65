"""Pictures as strangers send them: each is read, or refused by a typed error, within bounds."""

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
    """The service's QR of a text, in greys."""
    image = Image.open(io.BytesIO(qr_png(text))).convert("L")
    return image if side is None else image.resize((side, side), Image.Resampling.NEAREST)


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    """The file's bytes."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png_of(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A grey PNG of this size by its header, with whatever chunks."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, body in ((b"IHDR", header), *chunks, (b"IEND", b"")):
        parts.append(struct.pack(">I", len(body)) + kind + body)
        parts.append(struct.pack(">I", zlib.crc32(kind + body)))
    return b"".join(parts)


def texts(data: bytes, **options) -> tuple[str, ...]:
    """What is read in the file."""
    return decode_picture(data, **options).texts


# --- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_each_format_is_known_by_its_content(kind: str):
    """There is no name and no claimed type to look at."""
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
    """One bit, palettes, sixteen bits, with and without transparency."""
    assert texts(saved(image)) == (CODE,)


def test_a_jpeg_for_print_is_read():
    """CMYK, as a shop's designer exports it."""
    assert texts(saved(qr().convert("CMYK"), "JPEG")) == (CODE,)


def test_a_progressive_jpeg_is_read():
    """Messengers send them."""
    assert texts(saved(qr().convert("RGB"), "JPEG", progressive=True)) == (CODE,)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_turned_by_its_exif_is_read(orientation: int):
    """Phones write the sensor's rows and a note of how the phone was held."""
    exif = Image.Exif()
    exif[0x0112] = orientation

    assert texts(saved(qr().convert("RGB"), "JPEG", exif=exif)) == (CODE,)


@pytest.mark.parametrize(("ink", "rung"), [((0, 0, 0), "as it is"), ((255, 255, 255), "contrast")])
def test_a_transparent_picture_is_read_on_the_paper_that_shows_it(ink, rung: str):
    """A code cut out of a dark page has light modules and nothing behind them."""
    size = qr().size
    image = Image.new("RGBA", size, (*ink, 0))
    image.paste((*ink, 255), (0, 0), qr().point(lambda value: 255 - value))
    read = decode_picture(saved(image))

    assert (read.texts, read.rung) == ((CODE,), rung)


def test_a_code_in_colours_of_one_brightness_is_read():
    """In grey there is nothing to see; in green there is."""
    dark, light = (
        Image.new("RGB", qr().size, (200, 60, 60)),
        Image.new("RGB", qr().size, (60, 131, 60)),
    )
    image = Image.composite(light, dark, qr())
    greys = image.convert("L").tobytes()
    assert max(greys) - min(greys) <= 1
    read = decode_picture(saved(image))

    assert (read.texts, read.rung) == ((CODE,), "channels")


def test_a_code_that_appears_in_an_animation_is_read():
    """A GIF that begins with a title; only the first frames are looked at."""
    blank = Image.new("L", qr().size, 255)

    def animated(before: int) -> bytes:
        title = [blank.point(lambda value, n=n: value - n) for n in range(before)]
        frames = [*title, qr()]
        return saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)

    read = decode_picture(animated(3))

    assert (read.texts, read.rung) == ((CODE,), "later frames")
    assert texts(animated(4)) == ()


def test_a_small_code_in_a_very_large_picture_is_read():
    """Forty megapixels are made smaller first, and then looked at in parts."""
    poster = Image.new("L", (7990, 5000), 235)
    poster.paste(qr(side=260), (6800, 4100))
    read = decode_picture(saved(poster), budget_seconds=20)

    assert (read.texts, read.rung) == ((CODE,), "full size")


def test_all_codes_of_a_picture_are_told():
    """Whoever asked chooses among them."""
    sheet = Image.new("L", (1300, 600), 255)
    sheet.paste(qr(), (10, 10))
    sheet.paste(qr(OTHER), (700, 10))

    assert set(texts(saved(sheet))) == {CODE, OTHER}


def test_a_code_of_ours_is_looked_for_beside_a_clearer_one():
    """The other shop's code is crisp and ours is dim: the first find is not the end of it."""
    sheet = Image.new("L", (1300, 600), 255)
    sheet.paste(qr(OTHER), (10, 10))
    dim = qr().point(lambda value: 236 + value // 20)
    sheet.paste(dim.resize(dim.size), (700, 10))
    data = saved(sheet)

    read = decode_picture(data, is_ours=lambda text: is_ours(text, location_base=BASE))

    assert texts(data) == (OTHER,)
    assert read.texts == (OTHER, CODE)


def test_other_symbols_are_not_read():
    """A Micro QR or a bar code has too weak a check to name a payment by."""
    import zxingcpp

    for kind in ("MicroQRCode", "DataMatrix", "Code128", "Aztec"):
        made = zxingcpp.create_barcode("123456", getattr(zxingcpp.BarcodeFormat, kind))
        image = Image.fromarray(
            zxingcpp.write_barcode_to_image(made, scale=6, add_quiet_zones=True)
        )
        assert texts(saved(image)) == (), kind


def test_a_picture_without_a_code_has_no_texts():
    """It is no error: the page says what to try."""
    read = decode_picture(saved(Image.new("RGB", (300, 200), "green")))

    assert (read.texts, read.rung) == ((), None)


# --- what is cut off or broken -------------------------------------------------------------------


def test_a_jpeg_cut_behind_its_code_is_read():
    """A download that broke off shows the upper part of the screen, and the code is in it."""
    screen = Image.new("L", (600, 1400), 255)
    screen.paste(qr(side=500), (50, 50))
    screen.paste(Image.effect_noise((600, 700), 90), (0, 700))
    data = saved(screen, "JPEG", quality=90)

    assert texts(data[: len(data) // 2]) == (CODE,)


@pytest.mark.parametrize("share", [1, 5, 10, 20, 40])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_picture_cut_before_its_code_says_so(kind: str, share: int):
    """Its header is whole, its pixels are not."""
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
    """Decoders raise nearly anything for a hostile file; none of it comes through."""
    damaged = bytearray(data)
    for at, value in changes:
        damaged[int(at * len(damaged))] = value
    if end < 0.3:
        del damaged[int(end / 0.3 * len(damaged)) :]
    try:
        found = texts(bytes(damaged), budget_seconds=0.2)
    except PictureRefused:
        return
    assert found in ((), (CODE,))


# --- what is no picture, or two things at once ---------------------------------------------------


def zipped() -> bytes:
    """An archive of one file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x.txt", "x")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "found"),
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
def test_another_format_is_refused_by_its_name(data: bytes, found: str):
    """A page can then say: a photo from an iPhone is HEIC, choose the compatible format."""
    with pytest.raises(UnsupportedPicture) as refused:
        texts(data)

    assert (refused.value.found_format, refused.value.picture_format) == (found, None)
    assert found in refused.value.detail


def _with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG with one chunk more, behind its header."""
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data[:33] + chunk + data[33:]


@pytest.mark.parametrize(
    ("data", "found"),
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
def test_two_formats_in_one_file_are_refused(data: bytes, found: str):
    """Another program would open the other one; whoever makes such a file is up to something."""
    with pytest.raises(UnsupportedPicture) as refused:
        texts(data)

    assert refused.value.found_format == found
    assert refused.value.picture_format in ("PNG", "JPEG", "GIF")


def test_what_phones_put_behind_a_picture_does_no_harm():
    """Motion photos carry a film, and editors a description in XMP."""
    film = b"\0\0\0\x18ftypmp42\0\0\0\0isom" + bytes(5000)
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF/></x:xmpmeta>"

    assert texts(saved(qr(), "JPEG") + film) == (CODE,)
    assert texts(saved(qr(), "JPEG", xmp=xmp)) == (CODE,)


# --- what is too large ---------------------------------------------------------------------------


def test_a_file_may_have_5_megabytes_and_no_byte_more():
    """Padding behind the picture counts: it would have to be held as well."""
    data = saved(qr())

    assert texts(data + bytes(PICTURE_BYTES_MAX - len(data))) == (CODE,)
    with pytest.raises(PictureTooLarge):
        texts(data + bytes(PICTURE_BYTES_MAX + 1 - len(data)))


def test_no_file_is_no_picture():
    """A form sent without choosing one."""
    with pytest.raises(UnreadablePicture):
        texts(b"")


@pytest.mark.parametrize(
    "size", [(20_000, 20_000), (8_000, 5_001), (1, PIXELS_MAX + 1), (2**31 - 1,) * 2]
)
def test_a_bomb_of_pixels_is_refused_by_its_header(size: tuple[int, int]):
    """The pixels of this file would never come to an end; they are not asked for."""
    row = zlib.compress(bytes(10_000_000), 9)
    data = png_of(*size, (b"IDAT", row))
    began = time.perf_counter()
    with pytest.raises(PictureTooLarge):
        texts(data)

    assert time.perf_counter() - began < 0.5


def test_forty_megapixels_are_read():
    """The other side of the edge: a white sheet of that size has no code, and is no error."""
    data = saved(Image.new("1", (8_000, 5_000), 1))

    assert texts(data, budget_seconds=0) == ()


def test_a_picture_that_takes_too_much_memory_to_unpack_is_refused():
    """WebP takes sixteen bytes a pixel and a progressive JPEG six, of which none can be spared."""
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
    """Each goes over all pixels again: a small file could hold a core for hours."""
    data = saved(Image.new("RGB", (4000, 3000)), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]

    with pytest.raises(PictureTooLarge):
        texts(data[:-2] + scan * 1000 + b"\xff\xd9")


def test_texts_packed_into_a_png_are_not_unpacked_without_end():
    """Five megabytes of compressed text are gigabytes of text; the header alone would eat them."""
    packed = b"k\0\0" + zlib.compress(bytes(900_000), 9)
    data = png_of(8, 8, *[(b"zTXt", packed)] * 500, (b"IDAT", zlib.compress(bytes(72))))
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
    """In a process of its own, whose peak is the picture's: all of it must stay under 250 MB."""
    image = Image.new("RGB", (8000, 5000), (200, 10, 20))
    if mode == "RGBA":
        image.putalpha(120)
    data = saved(image.quantize(2) if mode == "P" else image)
    done = subprocess.run(
        [sys.executable, "-c", _PEAK],
        input=data,
        capture_output=True,
        cwd=ROOT,
        check=True,
        timeout=90,
    )

    assert 30 < int(done.stdout) < 250


# --- time ----------------------------------------------------------------------------------------


def test_no_attempt_is_begun_after_the_time_is_over():
    """A picture of noise goes up the whole ladder, as far as the time allows."""
    noise = Image.effect_noise((1500, 1500), 120)
    data = saved(noise)
    whole = decode_picture(data, budget_seconds=60).looked_ms
    cut = decode_picture(data, budget_seconds=0.05).looked_ms

    assert cut < whole / 2
    assert decode_picture(data, budget_seconds=0).texts == ()
