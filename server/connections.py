"""Accept connections without end, and never more than the process has descriptors for.

A new connection to a full process takes the place of the connection that has waited longest for its
next request. So a stranger with many idle connections closes the service to nobody.
"""

from __future__ import annotations

import errno
import ipaddress
import resource
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from config import Settings

log = structlog.get_logger()

DESCRIPTORS_RESERVED = 128
"""Of the limit of open files: for the database, Redis, requests to the bank, files and the log."""

SHARE_OF_ONE_ADDRESS = 2
"""One address may hold half of what the process can hold, whatever the setting says."""

CLOSING_MAX = 32
"""Connections that may be accepted while as many others are closed to make room for them."""

CLOSED_AT_ONCE = 16
ACCEPTED_AT_ONCE = 256
ACCEPTED_BY_ONE_OF_SEVERAL = 8
"""The same for a process that shares its listening socket, so that the others get some too."""

STARTED_AT_ONCE = 16
"""Of the accepted connections, those of all clients in turn."""

PAUSE_SECONDS = 0.05
ACCEPT_SECONDS = 0.1
"""How long the loop waits for a connection before it looks whether it should stop."""

LOG_INTERVAL_SECONDS = 10.0
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_NO_LISTENER = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)


@dataclass(frozen=True)
class Capacity:
    """How many connections, in all and from one address; and the first descriptor not for them."""

    connections_max: int
    per_address_max: int
    descriptor_limit: int

    @classmethod
    def of(cls, settings: Settings) -> Capacity:
        """The settings, within the process's limit of open files.

        All connections come from the proxy's address if there is one; the proxy counts addresses.
        """
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = settings.connections_max
        descriptors = most + DESCRIPTORS_RESERVED if soft == resource.RLIM_INFINITY else soft
        limit = max(descriptors - DESCRIPTORS_RESERVED, 1)
        most = min(most, limit)
        of_one = min(settings.connections_per_address_max, max(most // SHARE_OF_ONE_ADDRESS, 1))
        return cls(most, most if settings.trusted_proxies else of_one, limit)


def allow_open_files(settings: Settings) -> None:
    """Raise the limit of open files: each connection is one, and the usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A websocket takes a second descriptor for its writes, and TLS two for a pair of sockets.
    descriptors = 4 if settings.tls_port else 2
    target = descriptors * settings.connections_max + DESCRIPTORS_RESERVED
    if hard != resource.RLIM_INFINITY:
        target = min(target, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


@dataclass(eq=False)
class Seat:
    """The place of one connection."""

    connection: Any
    network: str
    takes_place: bool
    """Whether another connection is closed for it."""


@dataclass
class _Network:
    """The connections of one client: of an IPv4 address or an IPv6 /64."""

    count: int = 0
    waiting: dict[Seat, None] = field(default_factory=dict)


class Seats:
    """The open connections; those that wait for a request in the order in which they began to."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._waiting: dict[Seat, None] = {}
        self._networks: dict[str, _Network] = {}
        self._count = 0

    def take(self, connection: Any, address: Any) -> Seat | None:
        """A seat, if necessary that of the longest waiting connection; None if there is none."""
        name = network_of(address)
        most = self._capacity
        with self._lock:
            network = self._networks.get(name) or _Network()
            over_all = max(
                self._count - most.connections_max,
                connection.fileno() - most.descriptor_limit,
            )
            over_network = network.count - most.per_address_max
            if max(over_all, over_network) >= CLOSING_MAX:
                return None
            if over_network >= 0 and not self._close_oldest(network.waiting):
                return None
            if over_network < 0 <= over_all and not self._close_oldest(self._waiting):
                return None
            self._networks[name] = network
            network.count += 1
            self._count += 1
            seat = Seat(connection, name, max(over_all, over_network) >= 0)
            self._wait(seat)
            return seat

    def set_waiting(self, seat: Seat, is_waiting: bool) -> None:
        """Note whether this connection waits for its next request, or has one."""
        with self._lock:
            self._forget(seat)
            if is_waiting:
                self._wait(seat)

    def leave(self, seat: Seat) -> None:
        """Give the seat back, after the connection has been closed."""
        with self._lock:
            self._forget(seat)
            self._count -= 1
            network = self._networks[seat.network]
            network.count -= 1
            if not network.count:
                del self._networks[seat.network]

    def close_some(self) -> None:
        """Close the longest waiting connections, because descriptors have run out."""
        with self._lock:
            for _ in range(CLOSED_AT_ONCE):
                self._close_oldest(self._waiting)

    def _wait(self, seat: Seat) -> None:
        self._waiting[seat] = None
        self._networks[seat.network].waiting[seat] = None

    def _forget(self, seat: Seat) -> None:
        self._waiting.pop(seat, None)
        self._networks[seat.network].waiting.pop(seat, None)

    def _close_oldest(self, waiting: dict[Seat, None]) -> bool:
        """End the first connection; the code that serves it then notices, and closes it."""
        seat = next(iter(waiting), None)
        if seat is None:
            return False
        self._forget(seat)
        with suppress(OSError):
            seat.connection.shutdown(socket.SHUT_RDWR)
        return True


class _Accepted:
    """Connections that have not been started yet; the clients take turns."""

    def __init__(self) -> None:
        self._of_networks: OrderedDict[str, deque[tuple[Seat, Any]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, seat: Seat, address: Any) -> None:
        """Add a connection behind those of the same client."""
        self._of_networks.setdefault(seat.network, deque()).append((seat, address))
        self._count += 1

    def take(self) -> tuple[Seat, Any]:
        """The first connection of the next client. Raises KeyError if there is none."""
        network, waiting = self._of_networks.popitem(last=False)
        if len(waiting) > 1:
            self._of_networks[network] = waiting  # at the end: the other clients come first
        self._count -= 1
        return waiting.popleft()


class AcceptLoop:
    """Accepts connections and gives each its own thread or greenlet."""

    def __init__(
        self,
        listener: socket.socket,
        seats: Seats,
        spawn: Callable[..., object],
        talk: Callable[[Seat, Any], None],
        at_once: int = ACCEPTED_AT_ONCE,
    ) -> None:
        """`spawn(function, *arguments)` runs beside the caller; `talk` serves one client."""
        self._at_once = at_once
        self._listener = listener
        self._seats = seats
        self._spawn = spawn
        self._talk = talk
        self._accepted = _Accepted()
        self._is_stopping = False
        self._logged_at = -LOG_INTERVAL_SECONDS
        self.has_ended = False

    def start(self) -> None:
        """Accept from now on."""
        self._spawn(self._run)

    def stop(self) -> None:
        """Accept no more; return when the listening socket can be closed."""
        self._is_stopping = True
        while not self.has_ended:
            time.sleep(ACCEPT_SECONDS / 10)

    def _run(self) -> None:
        try:
            while not self._is_stopping and self._accept_all():
                self._start(STARTED_AT_ONCE)
                time.sleep(0)  # the connections that were started get a turn
            self._start(len(self._accepted))
        finally:
            self.has_ended = True

    def _accept_all(self) -> bool:
        """Accept the connections that wait; False if the listening socket is gone."""
        for number in range(self._at_once):
            waits = not number and not self._accepted
            self._listener.settimeout(ACCEPT_SECONDS if waits else 0.0)
            try:
                connection, address = self._listener.accept()
            except (TimeoutError, BlockingIOError):
                break
            except OSError as error:
                if error.errno in _NO_LISTENER:
                    return False
                if error.errno in _NO_ROOM:
                    self._warn(error)
                    self._seats.close_some()
                    time.sleep(PAUSE_SECONDS)
                break
            kind: Any = type(self._listener)
            if not isinstance(connection, kind):  # eventlet returns a plain socket
                connection = kind(connection)
            seat = self._seats.take(connection, address)
            if seat is None:
                connection.close()
                break
            self._accepted.add(seat, address)
            if seat.takes_place:  # the connection that is closed for it needs a turn
                break
        return True

    def _start(self, count: int) -> None:
        """Give up to `count` of the accepted connections a thread or greenlet each."""
        for _ in range(min(count, len(self._accepted))):
            seat, address = self._accepted.take()
            try:
                self._spawn(self._serve, seat, address)
            except RuntimeError as error:  # the system has no more threads
                self._warn(error)
                seat.connection.close()
                self._seats.leave(seat)
                self._seats.close_some()
                return

    def _serve(self, seat: Seat, address: Any) -> None:
        try:
            self._talk(seat, address)
        except OSError:  # the client has gone
            pass
        except Exception:
            log.exception("connection.failed")
        finally:
            with suppress(OSError):
                seat.connection.close()
            self._seats.leave(seat)

    def _warn(self, error: Exception) -> None:
        if time.monotonic() - self._logged_at >= LOG_INTERVAL_SECONDS:
            self._logged_at = time.monotonic()
            log.warning("connections.no_room", error=str(error))


def network_of(address: Any) -> str:
    """Whose connections are counted together: those of an IPv4 address, or of an IPv6 /64."""
    host = str(address[0])
    if ":" not in host:
        return host
    ip = ipaddress.IPv6Address(host.partition("%")[0])
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((ip, 64), strict=False).network_address)
