"""The client's address, as proxies write it."""

from __future__ import annotations

import pytest

from web.addresses import PlainAddress, plain_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7:40001", "198.51.100.7"),
        ("198.51.100.7:", "198.51.100.7"),
        (" 198.51.100.7 ", "198.51.100.7"),
        ("2001:db8::8", "2001:db8::8"),
        ("2001:DB8:0::8", "2001:db8::8"),
        ("[2001:db8::8]", "2001:db8::8"),
        ("[2001:db8::8]:40001", "2001:db8::8"),
        ('"[2001:db8::8]:40001"', "2001:db8::8"),
        ('"[::1]:80"', "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("[::ffff:198.51.100.7]:1", "198.51.100.7"),
        ("unknown", None),
        ("_hidden", None),
        ("_x:80", None),
        ("", None),
        ("[]", None),
        ("198.51.100", None),
        ("198.51.100.7:40001:2", None),
        ("1" * 10_000, None),
    ],
)
def test_an_address_is_read_without_its_port(text: str, address: str | None) -> None:
    """A port is new for each connection, so it must not be part of what limits count."""
    assert plain_address(text) == address


@pytest.mark.parametrize(
    ("client", "proxy", "counted"),
    [
        ("198.51.100.7:1", "10.0.0.1", "198.51.100.7"),
        ("_a1", "10.0.0.1", "10.0.0.1"),
        ("unknown", "::ffff:10.0.0.1", "10.0.0.1"),
        ("unknown", "", ""),
    ],
)
def test_a_hidden_client_counts_as_its_proxy(client: str, proxy: str, counted: str) -> None:
    """A proxy may invent a new name for each request (RFC 7239, 6.3)."""
    addresses = []

    def application(environ, _start_response):
        addresses.append(environ["REMOTE_ADDR"])
        return []

    environ = {"REMOTE_ADDR": client, "werkzeug.proxy_fix.orig": {"REMOTE_ADDR": proxy}}
    PlainAddress(application)(environ, lambda *_: print)
    assert addresses == [counted]
