"""Read the head of a request, before a library sees it (RFC 9112).

Two programs that read one head differently disagree on where the request ends, and the rest of its
body becomes a second request. So a head with two readings is refused.
"""

from __future__ import annotations

import re
from typing import NamedTuple

HEAD_BYTES_MAX = 32_768
LINE_BYTES_MAX = 8190
"""Of the request line, and of one header; the libraries refuse longer ones in their own ways."""

HEADERS_MAX = 98
"""Python's `http.client` reads 100 lines, among them the empty one and a Host that we may add."""

END = b"\r\n\r\n"

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_TARGET = r"(?:/[!-~]*|\*|https?://[0-9A-Za-z.:\-]+(?:[/?][!-~]*)?)"
_REQUEST_LINE = re.compile(rf"({_NAME}) ({_TARGET}) (HTTP/1\.[01])")
_ABSOLUTE = re.compile(r"https?://([^/?]+)(.*)")
_OTHER_VERSION = re.compile(r"[^ ]+ [^ ]+ HTTP/[0-9.]+")
_FIELD = re.compile(rf"({_NAME}):([\t -~\x80-\xff]*)")
_FIELDS = re.compile(rf"^{_FIELD.pattern}\r$", re.MULTILINE)
"""All fields of a head at once. Each match is one line: no part of it matches a line's end."""
_LENGTH = re.compile(r"[0-9]{1,15}")
_FIRST_BYTE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z\r]")
_ONCE = ("host", "content-length", "transfer-encoding")


class Refusal(Exception):
    """The bytes are no request that this service reads: `http_status` and one sentence."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.http_status = status
        self.detail = detail


class Framing(NamedTuple):
    """Where the body of a request ends."""

    length: int
    """Bytes of the body; 0 if it is chunked."""

    is_chunked: bool
    expects_continue: bool
    asks_for_websocket: bool = False
    """Whether the connection may become a websocket; it carries no other request afterwards."""


class Head(NamedTuple):
    """The head of one request, decoded as Latin-1; its one reading."""

    method: str
    target: str
    """The path and the query."""
    version: str
    """`HTTP/1.1` or `HTTP/1.0`."""
    fields: tuple[tuple[str, str], ...]
    """Names as the client wrote them; values without the spaces around them."""
    framing: Framing

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of a header, or the default; the libraries ask."""
        name = name.lower()
        return next((value for key, value in self.fields if key.lower() == name), default)

    @property
    def keeps_alive(self) -> bool:
        """Whether the client may send another request on the connection (RFC 9112, 9.3)."""
        connection = (self.get("Connection") or "").lower()
        is_new = self.version == "HTTP/1.1"
        return connection == "keep-alive" or (is_new and connection != "close")

    def encode(self) -> bytes:
        """The head as bytes, for the libraries that parse it again."""
        lines = [f"{self.method} {self.target} {self.version}"]
        lines += [f"{name}: {value}" for name, value in self.fields]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def read_head(data: bytes) -> Head:
    """Read a head that ends with an empty line. Raises Refusal for an ambiguous head."""
    text = data.decode("latin-1")
    line, _, rest = text.partition("\r\n")
    method, target, version = _request_line(line)
    if target == "*" and method != "OPTIONS":
        raise Refusal(400, "Only OPTIONS may ask for *.")
    lines = rest.count("\n") - 1
    if lines > HEADERS_MAX:  # before they are parsed: a stranger may send thousands
        raise Refusal(431, f"A request may have {HEADERS_MAX} headers.")
    fields = [(name, value.strip(" \t")) for name, value in _FIELDS.findall(rest)]
    values = {name.lower(): value for name, value in fields}
    is_whole = len(fields) == lines
    if not is_whole or len(values) < len(fields) or len(text) > LINE_BYTES_MAX:
        _judge_fields(text)
        if not is_whole:
            raise Refusal(400, "A header is malformed.")
    if version == "HTTP/1.1" and "host" not in values:
        raise Refusal(400, "The header Host is missing.")
    framing = _framing(values, version)
    if method == "HEAD" and (framing.length or framing.is_chunked):
        raise Refusal(400, "A HEAD request has no body.")
    if not target.startswith("/"):
        target, fields = _in_origin_form(target, fields)
    return Head(method, target, version, tuple(fields), framing)


def _judge_fields(text: str) -> None:
    """Judge a head's fields one by one. Raises Refusal for the first that is not accepted."""
    _, *fields = text.removesuffix("\r\n\r\n").split("\r\n")
    names = set()
    for field in fields:
        if len(field) > LINE_BYTES_MAX:
            raise Refusal(431, f"A header may have {LINE_BYTES_MAX} bytes.")
        match = _FIELD.fullmatch(field)
        if match is None:
            raise Refusal(400, "A header is malformed.")
        name = match[1].lower()
        if name in _ONCE and name in names:
            raise Refusal(400, f"The header {name} appears more than once.")
        names.add(name)


def _in_origin_form(
    target: str, fields: list[tuple[str, str]]
) -> tuple[str, list[tuple[str, str]]]:
    """A path as the target, because the libraries route nothing else; and the host in the fields.

    By RFC 9112, 3.2, a whole URL also names the host, and the header Host does not count.
    `OPTIONS *` asks about the service as a whole: the home page answers.
    """
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return "/", fields
    path = absolute[2] if absolute[2].startswith("/") else "/" + absolute[2]
    others = [field for field in fields if field[0].lower() != "host"]
    return path, [("Host", absolute[1]), *others]


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


def _request_line(line: str) -> tuple[str, str, str]:
    """Method, target and version. Raises Refusal for a malformed line."""
    if len(line) > LINE_BYTES_MAX:
        raise Refusal(414, f"The first line of a request may have {LINE_BYTES_MAX} bytes.")
    match = _REQUEST_LINE.fullmatch(line)
    if match is not None:
        return match[1], match[2], match[3]
    if _OTHER_VERSION.fullmatch(line) and " HTTP/1." not in line:
        raise Refusal(505, "This service speaks HTTP/1.1 and HTTP/1.0.")
    raise Refusal(400, "The first line of the request is malformed.")


def _framing(values: dict[str, str], version: str) -> Framing:
    """RFC 9112, 6.3. A length beside an encoding is refused, not repaired."""
    length, coding = values.get("content-length"), values.get("transfer-encoding")
    is_new = version == "HTTP/1.1"
    expects_continue = is_new and values.get("expect", "").lower() == "100-continue"
    if coding is not None:
        if length is not None:
            raise Refusal(400, "Content-Length and Transfer-Encoding exclude each other.")
        if coding.lower() != "chunked" or not is_new:
            raise Refusal(400, "The only Transfer-Encoding is chunked, in HTTP/1.1.")
        return Framing(0, True, expects_continue)
    if length is not None and not _LENGTH.fullmatch(length):
        raise Refusal(400, "Content-Length must be one number.")
    asks_for_websocket = values.get("upgrade", "").lower() == "websocket"
    return Framing(int(length or 0), False, expects_continue, asks_for_websocket)
