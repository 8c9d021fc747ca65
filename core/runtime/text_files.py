"""Text files that are read at the start: settings and secrets, in UTF-8.

`server/async_mode.py` imports this module before it patches the standard library, so only the
standard library and python-dotenv may be imported here.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

_BYTE_ORDER_MARKS_16 = (b"\xff\xfe", b"\xfe\xff")


class UnreadableFile(Exception):
    """A file cannot be read as UTF-8; the message is one sentence that names file and reason."""


def read_text(path: Path) -> str:
    """The text of a file, without a byte order mark. Raises UnreadableFile."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror}.") from None
    # UTF-16 without a byte order mark is valid UTF-8 with a NUL in every second place.
    if data.startswith(_BYTE_ORDER_MARKS_16) or b"\x00" in data:
        raise UnreadableFile(f"{path} is written in UTF-16: save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableFile(
            f"{path} is not UTF-8 at line {line}, but perhaps Latin-1 or Windows-1252: "
            "save it as UTF-8."
        ) from None


def read_env_file(path: Path) -> dict[str, str]:
    """The variables in a `.env` file; none if there is no file. Raises UnreadableFile."""
    text = read_text(path) if path.exists() else ""
    values = dotenv_values(stream=StringIO(text))
    return {name: value for name, value in values.items() if value is not None}
