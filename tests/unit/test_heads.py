"""The head of a request has one reading or is refused, before a library parses it."""

from __future__ import annotations

import pytest

from server import heads
from server.heads import (
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    LINE_BYTES_MAX,
    Framing,
    Refusal,
    judge_beginning,
    read_head,
)

REQUEST = b"POST /payments/pix HTTP/1.1"


def head(*fields: bytes, line: bytes = REQUEST) -> bytes:
    """A head with a Host and these fields."""
    return b"\r\n".join([line, b"Host: x", *fields, b"", b""])


def status_of(data: bytes) -> int:
    """The status of the refusal. Raises AssertionError if the head is accepted."""
    with pytest.raises(Refusal) as refused:
        read_head(data)
    return refused.value.http_status


@pytest.mark.parametrize(
    ("fields", "framing"),
    [
        ((), Framing(0, False, False)),
        ((b"Content-Length: 5",), Framing(5, False, False)),
        ((b"content-length:005",), Framing(5, False, False)),
        ((b"Content-Length: 5 ", b"Expect: 100-Continue"), Framing(5, False, True)),
        ((b"Transfer-Encoding: chunked",), Framing(0, True, False)),
        ((b"transfer-encoding: \t Chunked ",), Framing(0, True, False)),
        ((b"X-Name: Jo\xc3\xa3o", b"X-Empty:"), Framing(0, False, False)),
    ],
)
def test_an_unambiguous_head_says_where_its_body_ends(fields, framing):
    """Clients write names and spaces in their own ways; all of these have one meaning."""
    assert read_head(head(*fields)).framing == framing


@pytest.mark.parametrize(
    "fields",
    [
        (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5", b"content-length: 5"),
        (b"Content-Length: +5",),
        (b"Content-Length: -5",),
        (b"Content-Length: 5, 5",),
        (b"Content-Length: 5, 6",),
        (b"Content-Length: 1_0",),
        (b"Content-Length: 0x5",),
        (b"Content-Length: 5.0",),
        (b"Content-Length:",),
        (b"Content-Length: \xd9\xa5",),
        (b"Content-Length: 9999999999999999",),
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Content-Length: 5", b"Transfer-Encoding: xchunked"),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding: chunked, chunked",),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: identity",),
        (b"Transfer-Encoding: \x0bchunked",),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Content-Length : 5",),
        (b" Content-Length: 5",),
        (b"X: a", b" folded"),
        (b"X: a", b"\tfolded"),
        (b"X: a\nContent-Length: 5",),
        (b"X: a\rContent-Length: 5",),
        (b"X: a\x00",),
        (b"X: a\x7f",),
        (b"no colon",),
        (b": no name",),
        (b"na\xc3\xafve: x",),
        (b"Host: y",),
    ],
)
def test_a_head_with_two_readings_is_refused(fields):
    """A proxy that reads it in another way would see another request in the body."""
    assert status_of(head(*fields)) == 400


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / HTTP/1.1\n", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /\x85 HTTP/1.1", 400),
        (b"GET /", 400),
        (b"GET http://[ HTTP/1.1", 400),
        (b"GET x HTTP/1.1", 400),
        (b"GE(T / HTTP/1.1", 400),
        (b"GET / HTTP/1.2", 400),
        (b"PRI * HTTP/2.0", 505),
        (b"GET / HTTP/9.9", 505),
    ],
)
def test_a_malformed_request_line_is_refused(line, status):
    """The libraries split it at different characters."""
    assert status_of(head(line=line)) == status


@pytest.mark.parametrize("target", [b"/", b"/a?b=%20", b"http://x.y:80/a", b"//a//b"])
def test_every_form_of_target_that_clients_send_is_accepted(target):
    """RFC 9112, 3.2: servers accept the absolute form too."""
    assert read_head(head(line=b"GET " + target + b" HTTP/1.1")).framing.length == 0


def test_only_options_asks_for_the_whole_service_and_head_has_no_body():
    """RFC 9112, 3.2.4; one library closed the connection of such a HEAD without an answer."""
    assert read_head(head(line=b"OPTIONS * HTTP/1.1")).framing.length == 0
    assert status_of(head(line=b"GET * HTTP/1.1")) == 400
    assert read_head(head(b"Content-Length: 0", line=b"HEAD / HTTP/1.1")).framing.length == 0
    assert status_of(head(b"Content-Length: 5", line=b"HEAD / HTTP/1.1")) == 400
    assert status_of(head(b"Transfer-Encoding: chunked", line=b"HEAD / HTTP/1.1")) == 400


def test_only_http_1_0_may_leave_out_the_host_and_it_has_no_chunks():
    """RFC 9112, 3.2 and 6.1."""
    assert status_of(b"GET / HTTP/1.1\r\n\r\n") == 400
    assert read_head(b"GET / HTTP/1.0\r\n\r\n").framing.length == 0
    old = head(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0")
    assert status_of(old) == 400
    expecting = head(b"Expect: 100-continue", line=b"POST / HTTP/1.0")
    assert not read_head(expecting).framing.expects_continue


def test_the_length_of_lines_and_the_number_of_headers_have_bounds():
    """Both sides of each bound; the libraries' own bounds are above these."""
    longest = b"GET /" + b"a" * (LINE_BYTES_MAX - len(b"GET / HTTP/1.1")) + b" HTTP/1.1"
    assert read_head(head(line=longest)).framing.length == 0
    assert status_of(head(line=longest.replace(b"/", b"/a", 1))) == 414
    field = b"X: " + b"a" * (LINE_BYTES_MAX - 3)
    assert read_head(head(field)).framing.length == 0
    assert status_of(head(field + b"a")) == 431
    fields = [b"X: a"] * (HEADERS_MAX - 1)
    assert read_head(head(*fields)).framing.length == 0
    assert status_of(head(*fields, b"X: a")) == 431


def test_thousands_of_headers_are_counted_and_not_parsed(monkeypatch):
    """Parsing them took six times the time of a refusal, before any bound of requests applies."""
    lines = b"".join(b"a%d:\r\n" % number for number in range(4000))
    monkeypatch.setattr(heads, "_FIELDS", None)
    assert status_of(b"GET / HTTP/1.1\r\n" + lines + b"\r\n") == 431


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02", 400),
        (b"\x00", 400),
        (b" GET /", 400),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"G" * (LINE_BYTES_MAX + 1), 414),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * HEAD_BYTES_MAX, 431),
    ],
)
def test_bytes_that_cannot_become_a_head_are_refused_before_its_end(data, status):
    """Otherwise the client keeps the connection until the time is up."""
    with pytest.raises(Refusal) as refused:
        judge_beginning(data)
    assert refused.value.http_status == status


@pytest.mark.parametrize("data", [b"G", b"GET / HTTP/1.1", b"G" * LINE_BYTES_MAX])
def test_the_beginning_of_a_head_waits_for_the_rest(data):
    """A head may come in any number of pieces."""
    judge_beginning(data)  # raises nothing
    with pytest.raises(Refusal):
        judge_beginning(data + b"\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"GET /a?b=c HTTP/1.1\r\nHost: x", b"GET /a?b=c HTTP/1.1\r\nHost: x"),
        (b"GET http://y:8 HTTP/1.1\r\nHost: x", b"GET / HTTP/1.1\r\nHost: y:8"),
        (b"GET http://y?b=c HTTP/1.1\r\nHost: x", b"GET /?b=c HTTP/1.1\r\nHost: y"),
        (
            b"GET https://y/a?u=http://z HTTP/1.1\r\nA: host: b\r\nhost:x\r\nB: c",
            b"GET /a?u=http://z HTTP/1.1\r\nHost: y\r\nA: host: b\r\nB: c",
        ),
        (b"GET http://y/a HTTP/1.0", b"GET /a HTTP/1.0\r\nHost: y"),
        (b"OPTIONS * HTTP/1.1\r\nHost: x", b"OPTIONS / HTTP/1.1\r\nHost: x"),
    ],
)
def test_a_library_gets_a_path_and_the_host_that_the_target_names(before, after):
    """RFC 9112, 3.2.2: with a whole URL as target, the header Host does not count."""
    end = b"\r\n\r\n"
    assert read_head(before + end).encode() == after + end
