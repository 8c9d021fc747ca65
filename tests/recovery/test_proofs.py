"""A stored proof contains the visible picture and nothing else of the file."""

from __future__ import annotations

import io

import pytest
from PIL import Image, PngImagePlugin

from blueprints.recovery.reading import make_proof, reencode
from blueprints.recovery.reading.proof_pictures import PROOF_BYTES_MAX, PROOF_SIDE_MAX
from core.errors import PictureTooLarge, UnreadablePicture, UnsupportedPicture

SECRET = b"-23.5505,-46.6333 Charlie"


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    """The file's bytes."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def open_picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def shade(image: Image.Image, at: tuple[int, int]) -> int:
    """The grey value of one pixel."""
    return image.convert("L").tobytes()[at[1] * image.width + at[0]]


def with_metadata(kind: str) -> bytes:
    """A picture with metadata: a place, a person, comments."""
    image = Image.new("RGB", (40, 30), "red")
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    if kind == "PNG":
        png_info = PngImagePlugin.PngInfo()
        png_info.add_text("Comment", SECRET.decode())
        return saved(image, kind, exif=exif, pnginfo=png_info)
    if kind == "GIF":
        return saved(image, kind, comment=SECRET)
    options = {"exif": exif, "icc_profile": SECRET, "xmp": SECRET}
    return saved(image, kind, **(options if kind == "WEBP" else {**options, "comment": SECRET}))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_only_the_pixels_are_stored(kind: str):
    """Metadata and data after the picture are private, so the service removes them."""
    data = with_metadata(kind)
    assert SECRET in data
    proof = reencode(data + b"<hidden>")
    picture = open_picture(proof.data)

    assert SECRET not in proof.data
    assert b"<hidden>" not in proof.data
    assert (picture.format, picture.size, proof.media_type) == ("JPEG", (40, 30), "image/jpeg")
    assert (len(picture.getexif()), "icc_profile" in picture.info, "comment" in picture.info) == (
        0,
        False,
        False,
    )
    red, green, _ = picture.convert("RGB").split()
    assert (shade(red, (20, 15)) > 240, shade(green, (20, 15)) < 15) == (True, True)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_proof_is_turned_upright(orientation: int):
    """The Exif orientation is removed, so the pixels must be turned."""
    upright = Image.new("RGB", (64, 48), "white")
    upright.paste("black", (0, 0, 16, 16))
    inverse_turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    turned = upright.transpose(inverse_turns[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("JPEG", "PNG", "WEBP"):
        picture = open_picture(reencode(saved(turned, kind, exif=exif)).data)
        assert picture.size == (64, 48), kind
        corners = [shade(picture, at) > 128 for at in ((8, 8), (56, 8), (8, 40), (56, 40))]
        assert corners == [False, True, True, True], kind


def test_a_transparent_proof_gets_a_white_background():
    """JPEG has no transparency, and a black background would hide dark text."""
    data = saved(Image.new("RGBA", (20, 20), (0, 0, 0, 0)))

    assert shade(open_picture(reencode(data).data), (10, 10)) > 250


def test_a_proof_has_a_bounded_size():
    """Grain compresses worst."""
    grain = Image.effect_noise((2500, 3100), 200).convert("RGB")
    proof = reencode(saved(grain, "JPEG", quality=60))

    assert max(proof.width, proof.height) == PROOF_SIDE_MAX
    assert len(proof.data) <= PROOF_BYTES_MAX
    assert open_picture(proof.data).size == (proof.width, proof.height)


def test_a_very_narrow_picture_is_stored():
    """No side may become zero px."""
    proof = reencode(saved(Image.new("L", (30_000, 1))))

    assert (proof.width, proof.height) == (PROOF_SIDE_MAX, 1)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"<svg/>", UnsupportedPicture),
        (saved(Image.new("L", (9, 9)))[:40], UnreadablePicture),
        (bytes(6 * 2**20), PictureTooLarge),
    ],
)
def test_a_picture_that_cannot_be_decoded_is_not_stored(data: bytes, error: type[Exception]):
    """The limits are the same as for reading codes, with and without the gate."""
    with pytest.raises(error):
        reencode(data)
    with pytest.raises(error):
        make_proof(io.BytesIO(data))
