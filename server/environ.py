"""What eventlet's and gevent's servers make of a head, from a head that we have read.

They would parse it a second time, with Python's parser of e-mails.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from server.heads import Head

Address = tuple[Any, ...]
"""Host and port, as sockets name them."""

_OWN_KEYS = ("CONTENT_TYPE", "CONTENT_LENGTH")
_DEFAULT_TYPE = "text/plain"
"""eventlet's CONTENT_TYPE of a request that names none."""


def path_of(head: Head) -> str:
    """The path and the query; two slashes at the beginning would look like the name of a host."""
    target = head.target
    return "/" + target.lstrip("/") if target.startswith("//") else target


def environ_of(head: Head, client: Address, service: Address) -> dict[str, Any]:
    """The environment, without the body.

    A header with an underscore in its name is left out: it could pass for one with a hyphen.
    """
    path, mark, query = path_of(head).partition("?")
    environ: dict[str, Any] = {
        "wsgi.errors": sys.stderr,
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.url_scheme": "http",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": "HTTP/1.0",
        "SERVER_NAME": service[0],
        "SERVER_PORT": str(service[1]),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "RAW_PATH_INFO": path,
        "PATH_INFO": unquote(path, encoding="latin-1") if "%" in path else path,
        "headers_raw": head.fields,
    }
    if mark:
        environ["QUERY_STRING"] = query
    for name, value in head.fields:
        key = _key_of(name)
        if key not in environ:
            environ[key] = value
        elif key not in _OWN_KEYS:
            environ[key] += "," + value
    environ.pop("", None)
    environ.setdefault("CONTENT_TYPE", _DEFAULT_TYPE)
    return environ


@lru_cache(maxsize=256)
def _key_of(name: str) -> str:
    """The key of a header; empty for a header that is left out."""
    if "_" in name:
        return ""
    key = name.replace("-", "_").upper()
    return key if key in _OWN_KEYS else f"HTTP_{key}"


class GeventHeaders:
    """The headers of one request with what gevent's handler asks of its own class for them."""

    status = ""
    """Why they could not be parsed: they could."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self.get = self.getheader = head.get
        self.typeheader = head.get("Content-Type")

    @property
    def headers(self) -> Iterator[str]:
        """The lines."""
        return (f"{name}: {value}\r\n" for name, value in self._head.fields)

    def __delitem__(self, name: str) -> None:
        """Called for the length of a chunked body, which no accepted head has. Raises KeyError."""
        raise KeyError(name)
