"""Decode a chunked body (RFC 9112, 7.1) with a bound for everything around its bytes."""

from __future__ import annotations

import re

from server.heads import Refusal

SIZE_LINE_BYTES_MAX = 256
"""The line with a chunk's size, and the extensions that a client may add to it."""

TRAILER_BYTES_MAX = 4096
CHUNKS_MAX = 8192
BYTES_PER_CHUNK_MIN = 64
"""A body may have CHUNKS_MAX chunks, and one more for each 64 bytes: a chunk costs time too."""

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t -~\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*")


class Chunks:
    """The decoder of one body."""

    def __init__(self) -> None:
        self.is_done = False
        self._left = 0
        """Bytes of the current chunk that are still to come."""
        self._after_data = False
        self._in_trailers = False
        self._chunks = self._bytes = self._trailer_bytes = 0

    def take(self, buffer: bytearray, most: int) -> bytes:
        """Take up to `most` bytes of the body out of the buffer.

        Nothing, while the body is not done, means that more bytes must come first. Raises Refusal.
        """
        pieces: list[bytes] = []
        at, room = 0, most
        try:
            while room and not self.is_done:
                if self._left:
                    piece = bytes(buffer[at : at + min(self._left, room)])
                    if not piece:
                        break
                    pieces.append(piece)
                    at, room = at + len(piece), room - len(piece)
                    self._left -= len(piece)
                    self._after_data = self._left == 0
                    continue
                line = self._line(buffer, at)
                if line is None:
                    break
                at += len(line) + 2
                self._read_line(line)
        finally:
            del buffer[:at]
        return b"".join(pieces)

    def _line(self, buffer: bytearray, at: int) -> bytes | None:
        """The next line without its end, None if its end has not come. Raises Refusal."""
        most = SIZE_LINE_BYTES_MAX
        if self._in_trailers:
            most = TRAILER_BYTES_MAX
        elif self._after_data:
            most = 0
        end = buffer.find(b"\r\n", at, at + most + 2)
        if end >= 0:
            return bytes(buffer[at:end])
        begun = buffer[at : at + most + 2]
        if len(begun) > most + 1 or b"\n" in begun:
            raise Refusal(400, "A chunk of the body is malformed.")
        return None

    def _read_line(self, line: bytes) -> None:
        if self._after_data:  # `_line` has found it empty
            self._after_data = False
        elif self._in_trailers:
            self._read_trailer(line)
        else:
            self._begin_chunk(line)

    def _begin_chunk(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise Refusal(400, "The size of a chunk is malformed.")
        self._left = int(match[1], 16)
        self._in_trailers = self._left == 0
        self._chunks += 1
        self._bytes += self._left
        if self._chunks > CHUNKS_MAX + self._bytes // BYTES_PER_CHUNK_MIN:
            raise Refusal(400, "The body has too many small chunks.")

    def _read_trailer(self, line: bytes) -> None:
        """Check a trailer and forget it; an empty line ends the body."""
        if not line:
            self.is_done = True
            return
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > TRAILER_BYTES_MAX or not _TRAILER.fullmatch(line):
            raise Refusal(400, "The trailers of the body are malformed or too long.")
