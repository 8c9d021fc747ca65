"""The address of the client, as proxies write it: with a port, in brackets, in quotes or hidden."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](?::\d*)?|(?P<v4>[\d.]+):\d*", re.ASCII)
_CHARACTERS_MAX = 100


class PlainAddress:
    """WSGI middleware behind ProxyFix: REMOTE_ADDR becomes an IP address without its port.

    Some load balancers write the client's port, which is new for each connection, so a limit by
    address would never be reached. RFC 7239 also allows `unknown` and invented names like `_x`:
    then the proxy's own address counts, because a proxy may invent a name for each request.
    """

    def __init__(self, application: WSGIApplication) -> None:
        """Wrap a WSGI application."""
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        client = environ.get("REMOTE_ADDR") or ""
        proxy = environ.get("werkzeug.proxy_fix.orig", {}).get("REMOTE_ADDR") or ""
        environ["REMOTE_ADDR"] = plain_address(client) or plain_address(proxy) or proxy
        return self._application(environ, start_response)


def plain_address(text: str) -> str | None:
    """The IP address in the text, without port, brackets, quotes and zone; else None."""
    text = text[:_CHARACTERS_MAX].strip().strip('"')
    match = _WITH_PORT.fullmatch(text)
    if match is not None:
        text = match["v6"] or match["v4"] or ""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
