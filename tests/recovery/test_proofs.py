"""A proof is kept as one sees it, and nothing else of the file is."""

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


def drawn(data: bytes) -> Image.Image:
    """The kept picture, opened."""
    return Image.open(io.BytesIO(data))


def shade(image: Image.Image, at: tuple[int, int]) -> int:
    """The grey at one place."""
    return image.convert("L").tobytes()[at[1] * image.width + at[0]]


def with_metadata(kind: str) -> bytes:
    """A picture that tells where it was taken, by whom, and holds a preview."""
    image = Image.new("RGB", (40, 30), "red")
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    if kind == "PNG":
        notes = PngImagePlugin.PngInfo()
        notes.add_text("Comment", SECRET.decode())
        return saved(image, kind, exif=exif, pnginfo=notes)
    if kind == "GIF":
        return saved(image, kind, comment=SECRET)
    options = {"exif": exif, "icc_profile": SECRET, "xmp": SECRET}
    return saved(image, kind, **(options if kind == "WEBP" else {**options, "comment": SECRET}))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_nothing_but_the_pixels_is_kept(kind: str):
    """Place, camera and comments are nobody's business; what hides behind the picture neither."""
    data = with_metadata(kind)
    assert SECRET in data
    proof = reencode(data + b"<hidden>")
    kept = drawn(proof.data)

    assert SECRET not in proof.data
    assert b"<hidden>" not in proof.data
    assert (kept.format, kept.size, proof.media_type) == ("JPEG", (40, 30), "image/jpeg")
    assert (len(kept.getexif()), "icc_profile" in kept.info, "comment" in kept.info) == (
        0,
        False,
        False,
    )
    red, green, _ = kept.convert("RGB").split()
    assert (shade(red, (20, 15)) > 240, shade(green, (20, 15)) < 15) == (True, True)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_proof_stands_upright_as_the_phone_showed_it(orientation: int):
    """The note of how the phone was held is lost, so the picture is turned."""
    upright = Image.new("RGB", (64, 48), "white")
    upright.paste("black", (0, 0, 16, 16))
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(back[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("JPEG", "PNG", "WEBP"):
        kept = drawn(reencode(saved(stored, kind, exif=exif)).data)
        assert kept.size == (64, 48), kind
        corners = [shade(kept, at) > 128 for at in ((8, 8), (56, 8), (8, 40), (56, 40))]
        assert corners == [False, True, True, True], kind


def test_a_transparent_proof_stands_on_white():
    """JPEG knows no holes; black ones would hide what was written there."""
    data = saved(Image.new("RGBA", (20, 20), (0, 0, 0, 0)))

    assert shade(drawn(reencode(data).data), (10, 10)) > 250


def test_a_proof_is_small_and_of_bounded_size():
    """Grain is the worst that can be compressed."""
    grain = Image.effect_noise((2500, 3100), 200).convert("RGB")
    proof = reencode(saved(grain, "JPEG", quality=60))

    assert max(proof.width, proof.height) == PROOF_SIDE_MAX
    assert len(proof.data) <= PROOF_BYTES_MAX
    assert drawn(proof.data).size == (proof.width, proof.height)


def test_a_very_narrow_picture_is_kept_too():
    """A side of no pixels is no picture."""
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
def test_what_cannot_be_drawn_is_not_kept(data: bytes, error: type[Exception]):
    """The same limits as for reading, also by way of the queue."""
    with pytest.raises(error):
        reencode(data)
    with pytest.raises(error):
        make_proof(io.BytesIO(data))
