"""A picture that is kept as proof: drawn again, so that only what one sees of it is kept."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

from blueprints.recovery.reading.pictures import WAIT_SECONDS, in_turn
from core.pictures import colours, opened

PROOF_SIDE_MAX = 2000
"""A phone's screen fits, and its small print stays legible."""
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
"""What turns a picture upright, by its Exif orientation (Exif 3.0, 4.6.5.1)."""


@dataclass(frozen=True)
class Proof:
    """A JPEG without metadata: at most 1 MB and 2000 px on a side."""

    data: bytes
    width: int
    height: int
    media_type: str = "image/jpeg"


def make_proof(upload: bytes | BinaryIO, *, wait_seconds: float = WAIT_SECONDS) -> Proof:
    """Draw an upload again, off the hub and in its turn. Raises as `read_picture` does."""
    return in_turn(upload, reencode, wait_seconds)


def reencode(data: bytes) -> Proof:
    """The first frame as a JPEG: upright, on white paper, nothing of the file but its pixels.

    Raises UnsupportedPicture, PictureTooLarge and UnreadablePicture.
    """
    with opened(data) as image:
        turn = _UPRIGHT.get(_orientation(image))
        image.draft("RGB", (PROOF_SIDE_MAX, PROOF_SIDE_MAX))
        drawn = colours(image, max(1, max(image.size) // PROOF_SIDE_MAX))
    drawn.thumbnail((PROOF_SIDE_MAX, PROOF_SIDE_MAX))
    if turn is not None:
        drawn = drawn.transpose(turn)
    # What Pillow carries over from a file (comments, profiles) stays behind with the old object.
    drawn.info = {}
    for quality in _QUALITIES:
        out = io.BytesIO()
        drawn.save(out, "JPEG", quality=quality)
        if out.tell() <= PROOF_BYTES_MAX:
            break
    return Proof(out.getvalue(), drawn.width, drawn.height)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        # Metadata of a stranger's file; a broken one is none.
        return 1
    return value if isinstance(value, int) else 1
