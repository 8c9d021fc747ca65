"""REDIS_URL for a Redis that sentinels watch: which sentinels to ask, and for which primary.

    redis+sentinel://:password@10.0.0.1:26379,10.0.0.2:26379,10.0.0.3:26379/mymaster/0

`rediss+sentinel://` uses TLS to the sentinels and to the servers. User and password belong to the
servers, and with `?sentinel_auth=yes` to the sentinels too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

SENTINEL_SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
SENTINEL_PORT = 26379
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_PATH = re.compile(r"/(?P<service>[\w.\-]{1,100})(?:/(?P<database>\d{1,5}))?/?", re.ASCII)


@dataclass(frozen=True)
class SentinelAddress:
    """The sentinels, the name of the primary that they watch, and how to sign in there."""

    sentinels: tuple[tuple[str, int], ...]
    """Hosts and ports."""
    service: str
    database: int
    is_tls: bool
    tls_files: dict[str, str]
    """Paths by redis-py's names: `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    has_sentinel_auth: bool = False
    """Whether the sentinels ask for the same user and password."""


def is_sentinel_url(url: str) -> bool:
    """Whether this REDIS_URL names sentinels."""
    return url.startswith(SENTINEL_SCHEMES)


def parse_sentinel_url(value: str) -> SentinelAddress:
    """Read a REDIS_URL that names sentinels. Raises ValueError with a part of a sentence."""
    url = urlsplit(value)
    path = _PATH.fullmatch(url.path)
    if path is None:
        raise ValueError(
            "must name the primary behind the sentinels, like "
            "redis+sentinel://host1:26379,host2:26379,host3:26379/mymaster/0"
        )
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    is_tls = url.scheme == "rediss+sentinel"
    allowed = ("sentinel_auth", *(_TLS_OPTIONS if is_tls else ()))
    if unknown := next((name for name in options if name not in allowed), None):
        raise ValueError(f"has the option {unknown[:20]}: only {', '.join(allowed)} can be set")
    sentinel_auth = options.pop("sentinel_auth", "no")
    if sentinel_auth not in ("yes", "no"):
        raise ValueError("has an option sentinel_auth that is neither yes nor no")
    user_info, _, hosts = url.netloc.rpartition("@")
    user, _, password = user_info.partition(":")
    if sentinel_auth == "yes" and not password:
        raise ValueError("has the option sentinel_auth=yes, but no password")
    return SentinelAddress(
        sentinels=tuple(_host_and_port(host) for host in hosts.split(",")),
        service=path["service"],
        database=int(path["database"] or 0),
        is_tls=is_tls,
        tls_files=options,
        user=unquote(user) or None,
        password=unquote(password) or None,
        has_sentinel_auth=sentinel_auth == "yes",
    )


def _host_and_port(text: str) -> tuple[str, int]:
    host = urlsplit(f"//{text.strip()}")
    try:
        port = host.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("has a port that is not a number from 1 to 65535")
    if not host.hostname:
        raise ValueError("has a sentinel without a host: separate sentinels with one comma")
    return host.hostname, port or SENTINEL_PORT
