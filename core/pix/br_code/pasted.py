"""Find an EMV code in a text that was pasted: broken lines, added spaces, words around it.

Nothing is guessed: these functions only leave out what was added, and the code's CRC tells which
candidate is the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice
from urllib.parse import unquote

from core.pix.br_code.decode import decode
from core.pix.br_code.model import BrCode, BrCodeError
from core.typed import clean

# Within a sentence, check what follows the number, because an order may be called 000201 too.
_EMV_START = re.compile(r"\A000201|000201(?=01021[12]|(?:2[6-9]|[34][0-9]|5[01])[0-9]{2}00)", re.A)
_LINE_BREAKS = re.compile(r"[\r\n\t\v\f\u2028\u2029]+[ \u00a0]*")
_SPACES = re.compile(r"\s+")
_CODES_MAX = 8
"""A text may quote several codes; no payer sends more."""
_ENDS_MAX = 4
_SPACES_MAX = 16


def parts_with_code(text: str) -> list[str]:
    """The rests of the text from each place where an EMV code seems to start."""
    starts = [match.start() for match in islice(_EMV_START.finditer(text), _CODES_MAX)]
    if starts:
        return [text[start:] for start in starts]
    compact = _SPACES.sub("", text)
    return [compact] if _EMV_START.match(compact) else []


def repairs(part: str) -> Iterator[str]:
    """The text, and versions of it without possible additions; the CRC finds the right one."""
    yield part
    joined = _LINE_BREAKS.sub("", part).strip()
    if joined != part:
        yield joined
        # If the line was broken at a space of the name, the break replaced the space.
        yield _LINE_BREAKS.sub(" ", part).strip()
    compact = _SPACES.sub("", part)
    if compact not in (part, joined):
        yield compact
    # The code ends with its CRC; what follows was added by a messenger or a person.
    for match in islice(re.finditer(r"6304[0-9A-Fa-f]{4}", joined), _ENDS_MAX):
        yield joined[: match.end()]


def _without_added_spaces(part: str) -> Iterator[str]:
    """Versions of the text without one space, without those before the country, and decoded."""
    joined = _LINE_BREAKS.sub("", part).strip()
    # Names have spaces of their own, so each space may be the one that was added; in front of the
    # country none is the code's own.
    head, country, tail = joined.partition("5802BR")
    if _SPACES.search(head):
        yield _SPACES.sub("", head) + country + tail
    for match in islice(_SPACES.finditer(joined), _SPACES_MAX):
        yield joined[: match.start()] + joined[match.end() :]
    if "%20" in joined:
        yield from repairs(unquote(joined))


def _rank(error: BrCodeError) -> int:
    """How much of a code was there: all, all but a right CRC, or less."""
    if error.is_whole:
        return 2
    return 1 if error.code == "crc_mismatch" else 0


def decode_pasted(text: str) -> tuple[str, BrCode]:
    """The one BR Code in the text, alone, and its content. Raises BrCodeError as `decode` does.

    Text that contains several codes gives the first whole one. The error is about a code with a
    right CRC if there is one, else about a code whose lengths add up, else about the whole text.
    """
    try:
        return text.strip(), decode(text)
    except BrCodeError as error:
        fault = error
    for part in parts_with_code(clean(text)):
        for candidate in chain(repairs(part), _without_added_spaces(part)):
            try:
                return candidate.strip(), decode(candidate)
            except BrCodeError as error:
                if _rank(error) > _rank(fault):
                    fault = error
    raise fault
