"""Reading the codes in a picture, within a time, and never on the thread that serves requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import BinaryIO, TypeVar

from blueprints.recovery.reading.gate import Gate
from blueprints.recovery.reading.ladder import LADDER, Source, texts_in
from core.errors import UnreadablePicture
from core.pictures import PICTURE_BYTES_MAX, check_bytes, is_cut_off
from core.runtime.memory import return_large_blocks
from core.runtime.offload import offload

Result = TypeVar("Result")

BUDGET_SECONDS = 2.0
"""When no further attempt is begun. One takes up to 0.2 s; a picture made to be slow, of tens of
thousands of corner marks, takes 3 s for one."""
SECOND_LOOK_SECONDS = 0.6
"""How long a code of ours is looked for once another one was found."""
DECODES_AT_ONCE = 1
"""In this process. The decoder runs beside the requests on a core of its own; a second one would
compete with them, and take as much memory again."""
WAITING_MAX = 200
WAIT_SECONDS = 10.0

_gate = Gate(DECODES_AT_ONCE, WAITING_MAX)


@dataclass(frozen=True)
class PictureReading:
    """The texts of a picture's codes in the order found, each once; none where none was read.

    `rung` names the attempt that found the last of them, `looked_ms` how long it all took.
    """

    texts: tuple[str, ...]
    rung: str | None
    looked_ms: int


def read_picture(
    upload: bytes | BinaryIO,
    *,
    is_ours: Callable[[str], bool] | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> PictureReading:
    """Read the codes of an upload off the hub, when its turn comes; safe for any upload.

    A file is read only then, so that pictures that wait lie where the form's parser put them and
    not in memory. `is_ours` as in `decode_picture`. Raises what that raises, and DecodersBusy
    when the turn does not come in time.
    """
    return in_turn(upload, lambda data: decode_picture(data, is_ours=is_ours), wait_seconds)


def in_turn(
    upload: bytes | BinaryIO, work: Callable[[bytes], Result], wait_seconds: float
) -> Result:
    """Do the work on an upload's bytes off the hub, one upload at a time."""
    return_large_blocks()
    with _gate.passing(wait_seconds):
        data = upload if isinstance(upload, bytes) else upload.read(PICTURE_BYTES_MAX + 1)
        return offload(work, data)


def decode_picture(
    data: bytes,
    *,
    is_ours: Callable[[str], bool] | None = None,
    budget_seconds: float = BUDGET_SECONDS,
) -> PictureReading:
    """The texts of the codes in a picture, from the first rung of the ladder that finds any.

    With `is_ours`, a pure function, the ladder goes on for a while where only other codes were
    found. Raises UnsupportedPicture, PictureTooLarge and UnreadablePicture, the last also for a
    JPEG whose end is missing and in whose rest no code is.
    """
    began = perf_counter()
    check_bytes(data)
    source = Source(data)
    found: dict[str, None] = {}
    last_rung = None
    ends = began + budget_seconds
    for rung in LADDER:
        for image, binarizer in rung.attempts(source):
            new = [text for text in texts_in(image, binarizer, source.corners) if text not in found]
            if new:
                last_rung = rung.name
                ends = min(ends, perf_counter() + SECOND_LOOK_SECONDS)
                found.update(dict.fromkeys(new))
            if perf_counter() > ends or (new and (not is_ours or any(map(is_ours, new)))):
                return _reading(data, found, last_rung, began)
    return _reading(data, found, last_rung, began)


def _reading(data: bytes, found: dict[str, None], rung: str | None, began: float) -> PictureReading:
    if not found and is_cut_off(data):
        raise UnreadablePicture("The picture's end is missing, and no code is in the rest.")
    return PictureReading(tuple(found), rung, round((perf_counter() - began) * 1000))
