"""Judge the bytes of a request's head before a library parses them (RFC 9112).

Two programs that read one head differently disagree on where the request ends, and the rest of its
body becomes a second request. So a head with two readings is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_BYTES_MAX = 32_768
LINE_BYTES_MAX = 8190
"""Of the request line, and of one header; the libraries refuse longer ones in their own ways."""

HEADERS_MAX = 98
"""Python's `http.client` reads 100 lines, among them the empty one and a Host that we may add."""

END = b"\r\n\r\n"

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_TARGET = rb"(?:/[!-~]*|\*|https?://[0-9A-Za-z.:\-]+(?:[/?][!-~]*)?)"
_REQUEST_LINE = re.compile(rb"(%b) (%b) HTTP/1\.([01])" % (_TOKEN, _TARGET))
_ABSOLUTE = re.compile(rb"https?://([^/?]+)(.*)")
_HOST_LINE = re.compile(rb"\r\nhost:[^\r\n]*", re.IGNORECASE)
_OTHER_VERSION = re.compile(rb"[^ ]+ [^ ]+ HTTP/[0-9.]+")
_FIELD = re.compile(rb"(%b):([\t -~\x80-\xff]*)" % _TOKEN)
_LENGTH = re.compile(rb"[0-9]{1,15}")
_FIRST_BYTE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z\r]")
_ONCE = (b"host", b"content-length", b"transfer-encoding")


class Refusal(Exception):
    """The bytes are no request that this service reads: `http_status` and one sentence."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.http_status = status
        self.detail = detail


@dataclass(frozen=True)
class Framing:
    """Where the body of a request ends."""

    length: int
    """Bytes of the body; 0 if it is chunked."""

    is_chunked: bool
    expects_continue: bool
    asks_for_websocket: bool = False
    """Whether the connection may become a websocket; it carries no other request afterwards."""


def judge(head: bytes) -> Framing:
    """The framing of a head that ends with an empty line. Raises Refusal for an ambiguous head."""
    line, *fields = head.removesuffix(END).split(b"\r\n")
    method, target, version = _request_line(line)
    if target == b"*" and method != b"OPTIONS":
        raise Refusal(400, "Only OPTIONS may ask for *.")
    if len(fields) > HEADERS_MAX:
        raise Refusal(431, f"A request may have {HEADERS_MAX} headers.")
    values: dict[bytes, bytes] = {}
    for field in fields:
        if len(field) > LINE_BYTES_MAX:
            raise Refusal(431, f"A header may have {LINE_BYTES_MAX} bytes.")
        match = _FIELD.fullmatch(field)
        if match is None:
            raise Refusal(400, "A header is malformed.")
        name = match[1].lower()
        if name in _ONCE and name in values:
            raise Refusal(400, f"The header {name.decode()} appears more than once.")
        values[name] = match[2].strip(b" \t")
    if version == b"1" and b"host" not in values:
        raise Refusal(400, "The header Host is missing.")
    framing = _framing(values, version)
    if method == b"HEAD" and (framing.length or framing.is_chunked):
        raise Refusal(400, "A HEAD request has no body.")
    return framing


def in_origin_form(head: bytes) -> bytes:
    """The same head with a path as its target, because the libraries route nothing else.

    By RFC 9112, 3.2, a whole URL also names the host, and the header Host does not count.
    `OPTIONS *` asks about the service as a whole: the home page answers.
    """
    line, rest = head.split(b"\r\n", 1)
    method, target, version = line.split(b" ")
    if target == b"*":
        target = b"/"
    elif absolute := _ABSOLUTE.fullmatch(target):
        target = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
        rest = _HOST_LINE.sub(b"", b"\r\n" + rest)[2:]
        rest = b"Host: " + absolute[1] + b"\r\n" + rest
    else:
        return head
    return b"%b %b %b\r\n%b" % (method, target, version, rest)


def judge_beginning(data: bytes | bytearray) -> None:
    """Refuse what cannot become a head, as soon as it can be seen. Raises Refusal."""
    if not _FIRST_BYTE.match(data):
        raise Refusal(400, "This is not HTTP.")
    if data.find(b"\r\n", 0, LINE_BYTES_MAX + 2) < 0 and len(data) > LINE_BYTES_MAX:
        raise Refusal(414, f"The first line of a request may have {LINE_BYTES_MAX} bytes.")
    if len(data) > HEAD_BYTES_MAX:
        raise Refusal(431, f"The head of a request may have {HEAD_BYTES_MAX} bytes.")
    if data.count(b"\n") != data.count(b"\r\n"):
        raise Refusal(400, "A line of the head does not end with CR and LF.")


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Method, target and the minor version of HTTP/1. Raises Refusal for a malformed line."""
    if len(line) > LINE_BYTES_MAX:
        raise Refusal(414, f"The first line of a request may have {LINE_BYTES_MAX} bytes.")
    match = _REQUEST_LINE.fullmatch(line)
    if match is not None:
        return match[1], match[2], match[3]
    if _OTHER_VERSION.fullmatch(line) and b" HTTP/1." not in line:
        raise Refusal(505, "This service speaks HTTP/1.1 and HTTP/1.0.")
    raise Refusal(400, "The first line of the request is malformed.")


def _framing(values: dict[bytes, bytes], version: bytes) -> Framing:
    """RFC 9112, 6.3. A length beside an encoding is refused, not repaired."""
    length, coding = values.get(b"content-length"), values.get(b"transfer-encoding")
    expects_continue = version == b"1" and values.get(b"expect", b"").lower() == b"100-continue"
    if coding is not None:
        if length is not None:
            raise Refusal(400, "Content-Length and Transfer-Encoding exclude each other.")
        if coding.lower() != b"chunked" or version == b"0":
            raise Refusal(400, "The only Transfer-Encoding is chunked, in HTTP/1.1.")
        return Framing(0, True, expects_continue)
    if length is not None and not _LENGTH.fullmatch(length):
        raise Refusal(400, "Content-Length must be one number.")
    asks_for_websocket = values.get(b"upgrade", b"").lower() == b"websocket"
    return Framing(int(length or 0), False, expects_continue, asks_for_websocket)
