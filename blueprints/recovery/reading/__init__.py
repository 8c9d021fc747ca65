"""Read texts and pictures for the identifiers in them, without Flask and without a database.

    is_our_text = partial(is_ours, location_base=settings.location_base)
    texts = read_picture(upload.stream, is_ours=is_our_text).texts
    readings = read_texts(texts, location_base=settings.location_base)

A reading says which payment a code names, and never that money moved.
"""

from blueprints.recovery.reading.described import khqr_text, order_text
from blueprints.recovery.reading.kinds import MAY_BE_OURS, Kind, Reading
from blueprints.recovery.reading.pictures import PictureReading, decode_picture, read_picture
from blueprints.recovery.reading.proof_pictures import Proof, make_proof, reencode
from blueprints.recovery.reading.text import TEXT_MAX, is_ours, read_text, read_texts

__all__ = [
    "MAY_BE_OURS",
    "TEXT_MAX",
    "Kind",
    "PictureReading",
    "Proof",
    "Reading",
    "decode_picture",
    "is_ours",
    "khqr_text",
    "make_proof",
    "order_text",
    "read_picture",
    "read_text",
    "read_texts",
    "reencode",
]
