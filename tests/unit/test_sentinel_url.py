"""REDIS_URL that names sentinels: what it may say, and the connections that come of it."""

from __future__ import annotations

from typing import Any

import pytest
from redis.sentinel import SentinelManagedSSLConnection

from core.runtime.redis_pools import PrimaryConnection, named_primary, open_pool, primary_of
from core.runtime.sentinel_url import parse_sentinel_url
from core.runtime.setting_urls import checked_redis_url, password_in

URL = "redis+sentinel://shop:p%40ss@a.example:26380,[::1]:5,c/mymaster/3"


def test_hosts_name_and_database_are_read():
    """The usual port of sentinels is added, and the password decoded."""
    address = parse_sentinel_url(URL)
    assert address.sentinels == (("a.example", 26380), ("::1", 5), ("c", 26379))
    assert (address.service, address.database) == ("mymaster", 3)
    assert (address.user, address.password) == ("shop", "p@ss")
    assert (address.is_tls, address.has_sentinel_auth) == (False, False)
    assert "p@ss" not in repr(address)
    assert password_in(URL) == "p@ss"


def test_the_database_may_be_left_out():
    """It is 0 then, as in every address of Redis."""
    address = parse_sentinel_url("redis+sentinel://a,b,c/my-master.1")
    assert (address.service, address.database, address.password) == ("my-master.1", 0, None)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("redis+sentinel://a:1,b:2,c:3", "must name the primary"),
        ("redis+sentinel://a:1,b:2,c:3/", "must name the primary"),
        ("redis+sentinel://a/m/x", "must name the primary"),
        ("redis+sentinel://a/m/0/1", "must name the primary"),
        ("redis+sentinel://a:x,b:2/m", "has a port"),
        ("redis+sentinel://a:0/m", "has a port"),
        ("redis+sentinel://a:65536/m", "has a port"),
        ("redis+sentinel://a,,c/m", "without a host"),
        ("redis+sentinel:///m", "without a host"),
        ("redis+sentinel://a/m?db=1", "has the option db"),
        ("redis+sentinel://a/m?ssl_ca_certs=/x", "has the option ssl_ca_certs"),
        ("redis+sentinel://:p@a/m?sentinel_auth=1", "neither yes nor no"),
        ("redis+sentinel://a/m?sentinel_auth=yes", "no password"),
        ("redis+sentinel://a/m?password=x", "among the options"),
        ("redis+sentinel://u:p/w@a/m", "percent-encode"),
    ],
)
def test_what_no_address_can_be_is_refused(url, word):
    """At the start, with a sentence that says what to write."""
    with pytest.raises(ValueError, match=word):
        checked_redis_url(url)


def test_sentinels_get_the_password_only_if_the_address_says_so():
    """A sentinel without a password answers a password with an error."""
    for option, password in (("", None), ("?sentinel_auth=yes", "p@ss")):
        pool: Any = open_pool(URL + option, 0.5)
        for sentinel in pool.sentinel_manager.sentinels:
            options = sentinel.connection_pool.connection_kwargs
            assert options.get("password") == password
            assert (options["socket_timeout"], options["socket_connect_timeout"]) == (0.5, 0.5)


def test_tls_is_used_for_sentinels_and_servers():
    """With the files that the address names."""
    pool: Any = open_pool("rediss+sentinel://a,b/m?ssl_ca_certs=/ca.pem", 0.5)
    for kind in (PrimaryConnection, SentinelManagedSSLConnection):
        assert issubclass(pool.connection_class, kind)
    assert pool.connection_kwargs["ssl_ca_certs"] == "/ca.pem"
    for sentinel in pool.sentinel_manager.sentinels:
        assert sentinel.connection_pool.connection_kwargs["ssl_ca_certs"] == "/ca.pem"


def test_a_plain_address_has_no_sentinels():
    """Nothing is asked which server is the primary."""
    pool = open_pool("redis://127.0.0.1:1/2", 0.5)
    assert (primary_of(pool), named_primary(pool)) == (None, None)
    assert pool.connection_kwargs["db"] == 2
