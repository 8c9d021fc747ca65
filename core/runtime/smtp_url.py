"""SMTP_URL: where and how outgoing mail is handed over.

    smtp://user:password@mail.example.com:587     STARTTLS, required
    smtps://user:password@mail.example.com:465    TLS from the first byte
    smtp://127.0.0.1:1025?tls=none                plain, for a relay on this machine

User and password are percent-encoded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

_SENDER = re.compile(r"([^<>@\r\n]{0,60}<[^<>@\s]+@[^<>@\s]+>|[^<>@\s]+@[^<>@\s]+)")
_PORTS = {"smtp": 587, "smtps": 465}
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class SmtpServer:
    """The address of a mail server."""

    host: str
    port: int
    security: Literal["tls", "starttls", "none"]
    user: str = ""
    password: str = field(default="", repr=False)


def parse_smtp_url(value: str) -> SmtpServer:
    """Read SMTP_URL. Raises ValueError with a fragment that follows the setting's name."""
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        raise ValueError(
            "must be smtp:// or smtps://, a host and a port; "
            "percent-encode the characters @ : / # ? % of user and password"
        ) from None
    query = parse_qs(url.query, keep_blank_values=True)
    if url.scheme not in _PORTS or not url.hostname or url.path not in ("", "/") or url.fragment:
        raise ValueError("must look like smtp://user:password@mail.example.com:587")
    if set(query) - {"tls"} or query.get("tls", ["none"]) != ["none"]:
        raise ValueError("has an option that is not known: only ?tls=none is")
    is_plain = "tls" in query
    if is_plain and url.scheme == "smtps":
        raise ValueError("says smtps and ?tls=none, which contradict each other")
    if is_plain and url.username and url.hostname not in _LOOPBACK:
        raise ValueError("would send the password without TLS: leave ?tls=none out")
    security: Literal["tls", "starttls", "none"] = "starttls"
    if url.scheme == "smtps":
        security = "tls"
    elif is_plain:
        security = "none"
    return SmtpServer(
        url.hostname,
        port or _PORTS[url.scheme],
        security,
        unquote(url.username or ""),
        unquote(url.password or ""),
    )


def checked_sender(value: str) -> str:
    """MAIL_FROM, an address with or without a name. Raises ValueError."""
    if not _SENDER.fullmatch(value):
        raise ValueError("must be an address, like Loja <pix@example.com>")
    return value
