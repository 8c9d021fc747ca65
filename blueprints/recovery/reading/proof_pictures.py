"""Encode a proof anew, so that the service stores only its pixels and no metadata."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

from blueprints.recovery.reading.pictures import in_turn
from core.pictures import colours, open_picture

PROOF_SIDE_MAX = 2000
"""Enough for a phone's screen with legible small print."""
PROOF_BYTES_MAX = 1024 * 1024
_QUALITIES = (82, 70, 55, 40, 25)
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How to turn a picture upright, by its Exif orientation (Exif 3.0, 4.6.5.1)."""


@dataclass(frozen=True)
class Proof:
    """A JPEG without metadata: at most 1 MB and 2000 px on a side."""

    data: bytes
    width: int
    height: int
    media_type: str = "image/jpeg"


def make_proof(upload: bytes | BinaryIO, *, owner: str = "") -> Proof:
    """Encode an upload anew, as `in_turn` does. Raises what `read_picture` raises."""
    return in_turn(upload, reencode, owner)


def reencode(data: bytes) -> Proof:
    """The first frame as an upright JPEG on white, without metadata.

    Raises UnsupportedPicture, PictureTooLarge and UnreadablePicture.
    """
    with open_picture(data) as image:
        turn = _UPRIGHT.get(_orientation(image))
        image.draft("RGB", (PROOF_SIDE_MAX, PROOF_SIDE_MAX))
        frame = colours(image, max(1, max(image.size) // PROOF_SIDE_MAX))
    frame.thumbnail((PROOF_SIDE_MAX, PROOF_SIDE_MAX))
    if turn is not None:
        frame = frame.transpose(turn)
    # Otherwise Pillow saves the comments and profiles of the upload again.
    frame.info = {}
    for quality in _QUALITIES:
        out = io.BytesIO()
        frame.save(out, "JPEG", quality=quality)
        if out.tell() <= PROOF_BYTES_MAX:
            break
    return Proof(out.getvalue(), frame.width, frame.height)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        # A stranger's file may have broken metadata, which counts as none.
        return 1
    return value if isinstance(value, int) else 1
