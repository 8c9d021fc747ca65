"""A Redis with a replica and three sentinels, all private, on loopback."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Self

from redis import Redis, RedisError

from tests.support.servers import PrivateRedis

SERVICE = "balcao-test"
DOWN_AFTER_MS = 700
"""The silence after which a sentinel takes a server for dead."""
ELECTION_SECONDS = 30
POLL_SECONDS = 0.05


class PrivateMember(PrivateRedis):
    """A Redis that replicates another one, or waits to be replicated."""

    def __init__(self, primary: PrivateRedis | None = None) -> None:
        super().__init__()
        self._primary = primary

    def _command(self) -> list[str]:
        options = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
        if self._primary is not None:
            options += ["--replicaof", "127.0.0.1", str(self._primary.port)]
        return [*super()._command(), *options]


class PrivateSentinel(PrivateRedis):
    """A sentinel of one primary; two of three must agree that it is dead."""

    name = "sentinel"

    def __init__(self, primary: PrivateRedis) -> None:
        super().__init__()
        self._primary = primary

    def _command(self) -> list[str]:
        return [self.program, str(self.data / "sentinel.conf"), "--sentinel"]

    def _prepare(self) -> None:
        super()._prepare()
        lines = [
            f"port {self.port}", "bind 127.0.0.1", f"dir {self.data}",
            f"sentinel monitor {SERVICE} 127.0.0.1 {self._primary.port} 2",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} 5000",
        ]  # fmt: skip
        (self.data / "sentinel.conf").write_text("\n".join(lines) + "\n")


class SentinelSet:
    """One primary, one replica, three sentinels; `url` is a REDIS_URL."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self.members: list[PrivateMember] = []
        self.sentinels: list[PrivateSentinel] = []

    def __enter__(self) -> Self:
        try:
            first = self._open.enter_context(PrivateMember())
            self.members = [first, self._open.enter_context(PrivateMember(first))]
            self.sentinels = [self._open.enter_context(PrivateSentinel(first)) for _ in range(3)]
            self._wait(self._is_complete, "every sentinel knows the replica and the others")
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def url(self) -> str:
        """The REDIS_URL that names the three sentinels."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    def primary(self) -> PrivateMember:
        """The member that most sentinels name. Raises AssertionError during an election."""
        ports = [self._named_port(sentinel) for sentinel in self.sentinels]
        for member in self.members:
            if 2 * ports.count(member.port) > len(ports):
                return member
        raise AssertionError(f"no primary: {ports}")

    def wait_for_another(self, than: PrivateMember) -> PrivateMember:
        """Wait until the sentinels name another primary; return it."""
        [other] = [member for member in self.members if member is not than]
        self._wait(
            lambda: all(self._named_port(one) == other.port for one in self.sentinels),
            "another primary is elected",
        )
        return other

    def wait_until_complete(self) -> None:
        """Wait until the other member replicates the primary again, as before a failover."""
        self._wait(self._is_complete, "the other member is a replica")

    def name_primary(self, member: PrivateMember) -> None:
        """Let the sentinels name this member, without a word to any member or its clients.

        So does the world look to a client whose primary is cut off from the sentinels.
        """
        for sentinel in self.sentinels:
            with Redis.from_url(sentinel.url) as client:
                client.execute_command("SENTINEL", "REMOVE", SERVICE)
                client.execute_command("SENTINEL", "MONITOR", SERVICE, "127.0.0.1", member.port, 2)

    def _named_port(self, sentinel: PrivateSentinel) -> int:
        with Redis.from_url(sentinel.url, socket_timeout=2) as client, suppress(RedisError):
            return int(client.sentinel_get_master_addr_by_name(SERVICE)[1])
        return 0

    def _is_complete(self) -> bool:
        with suppress(AssertionError, RedisError):
            primary = self.primary()
            with Redis.from_url(primary.url, socket_timeout=2) as client:
                if client.info("replication")["connected_slaves"] != 1:
                    return False
            return all(self._knows_all(sentinel) for sentinel in self.sentinels)
        return False

    def _knows_all(self, sentinel: PrivateSentinel) -> bool:
        with Redis.from_url(sentinel.url, socket_timeout=2) as client:
            state = client.sentinel_master(SERVICE)
        return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)

    def _wait(self, is_there: Callable[[], bool], what: str) -> None:
        limit = time.monotonic() + ELECTION_SECONDS
        while not is_there():
            assert time.monotonic() < limit, f"not within {ELECTION_SECONDS} s: {what}"
            time.sleep(POLL_SECONDS)


@contextmanager
def frozen(*servers: PrivateRedis) -> Iterator[None]:
    """Freeze these servers in the block: their connections stand, and nothing answers."""
    pids: Sequence[int] = [server.process_id for server in servers]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
