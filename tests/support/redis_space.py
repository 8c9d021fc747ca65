"""A Redis for each test: an empty numbered database on a server, claimed and freed.

Numbered databases separate only keys: a published message reaches subscribers in all of them. A
test that counts published messages starts a private server instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit, urlunsplit

from redis import Redis
from redis.exceptions import ResponseError

from tests.support.parts import MissingPart
from tests.support.servers import PrivateRedis, redis_answers

USUAL_ADDRESS = "redis://127.0.0.1:6379/0"
NUMBERED_DATABASES = range(1, 16)
CLAIM_SECONDS = 30 * 60


class RedisSpace:
    """The Redis of this run, found or started at its first use."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._address: str | None = None

    def server(self) -> str:
        """The server's address: TEST_REDIS_URL, the usual port, or private. Raises MissingPart."""
        if self._address is None:
            self._address = self._find()
        return self._address

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of an empty numbered database, emptied again at the end. Raises MissingPart.

        A database that contains keys is in use and is never taken.
        """
        server = self.server()
        number = self._claim(server)
        url = _numbered(server, number)
        try:
            yield url
        finally:
            with Redis.from_url(url) as space, Redis.from_url(server) as claims:
                space.flushdb()
                claims.delete(_claim_key(number))

    def close(self) -> None:
        """Stop the private server."""
        self._open.close()

    def _claim(self, server: str) -> int:
        """Claim an empty database for CLAIM_SECONDS; return its number."""
        for number in NUMBERED_DATABASES:
            with (
                Redis.from_url(server) as claims,
                Redis.from_url(_numbered(server, number)) as space,
            ):
                if not claims.set(_claim_key(number), "taken", nx=True, ex=CLAIM_SECONDS):
                    continue
                try:
                    if space.dbsize() == 0:
                        return number
                    claims.delete(_claim_key(number))
                except ResponseError:  # the server has fewer numbered databases
                    claims.delete(_claim_key(number))
                    break
        raise MissingPart("an empty numbered database in Redis (set TEST_REDIS_URL to another)")

    def _find(self) -> str:
        if environment_url := os.environ.get("TEST_REDIS_URL"):
            if not redis_answers(environment_url):
                raise MissingPart("TEST_REDIS_URL is set, but no server answers at that address")
            return environment_url
        if redis_answers(USUAL_ADDRESS):
            return USUAL_ADDRESS
        return self._open.enter_context(PrivateRedis()).url


def _numbered(server: str, number: int) -> str:
    return urlunsplit(urlsplit(server)._replace(path=f"/{number}"))


def _claim_key(number: int) -> str:
    return f"balcao_test:claim:{number}"
