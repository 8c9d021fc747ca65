"""The address at which this machine reaches a server of its own."""

from __future__ import annotations

_LOCAL_NAMES = ("0.0.0.0", "::", "localhost")  # noqa: S104 - compared, not bound


def local_host(host: str) -> str:
    """`host`, or 127.0.0.1 for a server that listens on every address or on `localhost`."""
    return "127.0.0.1" if host in _LOCAL_NAMES else host


def local_url(host: str, port: int | str) -> str:
    """The URL of a server that listens on this host and port."""
    return f"http://{local_host(host)}:{port}"
