"""A chunked body is decoded strictly, in pieces of any size, with bounds around its bytes."""

from __future__ import annotations

import pytest

from server.chunks import (
    BYTES_PER_CHUNK_MIN,
    CHUNKS_MAX,
    SIZE_LINE_BYTES_MAX,
    TRAILER_BYTES_MAX,
    Chunks,
)
from server.heads import Refusal

END = b"0\r\n\r\n"


def decode(data: bytes, step: int = 1 << 20) -> tuple[bytes, bool, bytes]:
    """The body, whether it is complete, and the bytes after it; `step` bytes come at a time."""
    chunks, buffer, body = Chunks(), bytearray(), b""
    for at in range(0, len(data), step):
        buffer += data[at : at + step]
        while piece := chunks.take(buffer, 1 << 20):
            body += piece
    return body, chunks.is_done, bytes(buffer)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n00006\r\n world\r\n000\r\n\r\n", b"hello world"),
        (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"a;name=value;b\r\n\r\n\r\n\r\n\r\n\r\n\r\n0 ;x\r\n\r\n", b"\r\n" * 5),
        (b"2\r\n{}\r\n0\r\nX-Sum: a\r\nX-B:\r\n\r\n", b"{}"),
    ],
)
def test_a_body_is_the_same_in_pieces_of_any_size(data, body, step):
    """TCP cuts where it likes; what follows the body stays for the next request."""
    assert decode(data + b"GET /", step) == (body, True, b"GET /")


def test_a_reader_may_take_a_little_at_a_time():
    """Forms are read line by line."""
    chunks, buffer = Chunks(), bytearray(b"5\r\nhello\r\n3\r\nyou\r\n" + END + b"next")
    pieces = [chunks.take(buffer, 2) for _ in range(5)]
    assert pieces == [b"he", b"ll", b"oy", b"ou", b""]
    assert chunks.is_done
    assert buffer == b"next"


@pytest.mark.parametrize(
    "data",
    [
        b"zz\r\n{}\r\n",
        b"-1\r\n{}\r\n",
        b"+1\r\na\r\n",
        b"0x1\r\na\r\n",
        b"1_0\r\n",
        b"\r\n",
        b" 1\r\na\r\n",
        b"1 \r\na\r\n",
        b"123456789\r\n",
        b"1\na\n0\n\n",
        b"1\r\nab\r\n",
        b"1\r\na\n0\r\n\r\n",
        b"1\r\na\r\r\n",
        b"1;\x00\r\na\r\n",
        b"1;a\rb\r\na\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nX : a\r\n\r\n",
        b"0\r\nX: a\n\r\n",
    ],
)
def test_a_malformed_chunk_is_refused(data):
    """A lenient reader and a strict one disagree on where the body ends."""
    with pytest.raises(Refusal) as refused:
        decode(data)
    assert refused.value.http_status == 400


def test_the_line_of_a_chunk_and_the_trailers_have_bounds():
    """A line that never ends would be collected until the memory is full."""
    line = b"1;" + b"a" * (SIZE_LINE_BYTES_MAX - 2)
    assert decode(line + b"\r\nx\r\n" + END)[:2] == (b"x", True)
    with pytest.raises(Refusal):
        decode(line + b"a\r\nx\r\n" + END)
    with pytest.raises(Refusal):
        decode(b"1" * (SIZE_LINE_BYTES_MAX + 2))
    trailer = b"X: a\r\n"
    most = TRAILER_BYTES_MAX // len(trailer)
    assert decode(b"0\r\n" + trailer * most + b"\r\n")[1]
    with pytest.raises(Refusal):
        decode(b"0\r\n" + trailer * (most + 1) + b"\r\n")


def test_a_body_may_have_only_so_many_small_chunks():
    """A chunk of one byte costs six bytes of traffic, and time to decode."""
    one = b"1\r\nx\r\n"
    assert len(decode(one * CHUNKS_MAX)[0]) == CHUNKS_MAX
    with pytest.raises(Refusal):
        decode(one * (CHUNKS_MAX + CHUNKS_MAX // 32))
    usual = b"%x\r\n%s\r\n" % (BYTES_PER_CHUNK_MIN, b"x" * BYTES_PER_CHUNK_MIN)
    count = CHUNKS_MAX * 2
    assert len(decode(usual * count + END)[0]) == count * BYTES_PER_CHUNK_MIN
