"""Read the codes in a picture, within a time limit and off the thread that serves requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import BinaryIO, TypeVar

from blueprints.recovery.reading.ladder import LADDER, Source, texts_in
from core.errors import DecodersBusy, UnreadablePicture
from core.pictures import PICTURE_BYTES_MAX, check_bytes, is_cut_off
from core.runtime.offload import Places

Result = TypeVar("Result")

BUDGET_SECONDS = 2.0
"""After this time no attempt starts. An attempt takes up to 0.2 s, or 3 s for a hostile picture of
tens of thousands of corner marks."""
SECOND_LOOK_SECONDS = 0.6
"""How long the search for a code of ours goes on after a foreign code was found."""
DECODES_AT_ONCE = 1
"""Per process. One decoder runs on a core beside the requests; a second decoder would compete with
them and need as much memory again."""
QUEUE_MAX = 200
WAIT_SECONDS = 10.0
PER_OWNER_MAX = 6
"""How many pictures one client address may have at the gate; the addresses take turns."""

_places = Places(
    DECODES_AT_ONCE,
    QUEUE_MAX,
    share_max=PER_OWNER_MAX,
    wait_seconds=WAIT_SECONDS,
    busy=DecodersBusy,
)


@dataclass(frozen=True)
class PictureReading:
    """The distinct texts of a picture's codes, in the order of discovery.

    `rung` is the rung that found the last text; `looked_ms` is the time of the whole search.
    """

    texts: tuple[str, ...]
    rung: str | None
    looked_ms: int


def read_picture(
    upload: bytes | BinaryIO,
    *,
    is_ours: Callable[[str], bool] | None = None,
    owner: str = "",
    wait_seconds: float = WAIT_SECONDS,
) -> PictureReading:
    """Wait for a place, then read the codes of any upload off the hub.

    The upload is read only then, so that waiting pictures stay in files and not in memory.
    `is_ours` as in `decode_picture`. Raises what `decode_picture` raises, DecodersBusy if no place
    is free in time, and TooManyRequests if the owner has its share of the places already.
    """
    return in_turn(upload, lambda data: decode_picture(data, is_ours=is_ours), owner, wait_seconds)


def in_turn(
    upload: bytes | BinaryIO,
    work: Callable[[bytes], Result],
    owner: str = "",
    wait_seconds: float = WAIT_SECONDS,
) -> Result:
    """Wait for a place, then run `work` on the upload's bytes off the hub."""

    def read_and_work() -> Result:
        return work(upload if isinstance(upload, bytes) else upload.read(PICTURE_BYTES_MAX + 1))

    return _places.run(read_and_work, owner=owner, wait_seconds=wait_seconds)


def decode_picture(
    data: bytes,
    *,
    is_ours: Callable[[str], bool] | None = None,
    budget_seconds: float = BUDGET_SECONDS,
) -> PictureReading:
    """The texts of the codes in a picture, from the first attempt that finds any.

    With `is_ours`, a pure function, the search goes on for SECOND_LOOK_SECONDS if only other codes
    were found. Raises UnsupportedPicture, PictureTooLarge and UnreadablePicture, which includes a
    JPEG that is cut off and shows no code.
    """
    started_at = perf_counter()
    check_bytes(data)
    source = Source(data)
    texts: dict[str, None] = {}
    last_rung = None
    ends_at = started_at + budget_seconds
    for rung in LADDER:
        for image, binarizer in rung.attempts(source):
            new = [text for text in texts_in(image, binarizer, source.corners) if text not in texts]
            if new:
                last_rung = rung.name
                ends_at = min(ends_at, perf_counter() + SECOND_LOOK_SECONDS)
                texts.update(dict.fromkeys(new))
            if perf_counter() > ends_at or (new and (not is_ours or any(map(is_ours, new)))):
                return _reading(data, texts, last_rung, started_at)
    return _reading(data, texts, last_rung, started_at)


def _reading(
    data: bytes, texts: dict[str, None], rung: str | None, started_at: float
) -> PictureReading:
    if not texts and is_cut_off(data):
        raise UnreadablePicture("The picture is cut off, and the rest shows no code.")
    return PictureReading(tuple(texts), rung, round((perf_counter() - started_at) * 1000))
