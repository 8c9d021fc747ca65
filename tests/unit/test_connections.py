"""Places for connections: who gets one, and who gives one up."""

from __future__ import annotations

import errno
import threading
import time
from typing import Any

import pytest

from server.connections import CLOSING_MAX, AcceptLoop, Capacity, Seat, Seats, network_of

ALICE, BOB = ("198.51.100.1", 1), ("198.51.100.2", 1)


class Line:
    """A connection that notes whether it was ended."""

    def __init__(self, number: int = 5) -> None:
        self.number = number
        self.is_open = True

    def fileno(self) -> int:
        """The descriptor."""
        return self.number

    def shutdown(self, _how: int) -> None:
        """End the connection."""
        self.is_open = False

    def close(self) -> None:
        """Close the connection."""
        self.is_open = False


def seats_of(most: int, per_address: int = 100, descriptors: int = 1000) -> Seats:
    """Seats with these bounds."""
    return Seats(Capacity(most, per_address, descriptors))


def take(seats: Seats, line: Line, address: Any = ALICE) -> Seat:
    """A seat. Raises AssertionError if there is none."""
    seat = seats.take(line, address)
    assert seat is not None
    return seat


def test_the_longest_waiting_connection_makes_room():
    """A new client is served, and an idle connection costs its owner nothing but a new one."""
    seats, lines = seats_of(2), [Line() for _ in range(3)]
    first = take(seats, lines[0])
    take(seats, lines[1])
    seats.set_waiting(first, False)
    seats.set_waiting(first, True)  # answered a moment ago, so the other one has waited longer
    assert seats.take(lines[2], BOB) is not None
    assert [line.is_open for line in lines] == [True, False, True]


def test_a_connection_with_a_request_is_never_closed_for_another():
    """A payment that is being created must be answered."""
    seats, busy, late = seats_of(1), Line(), Line()
    seats.set_waiting(take(seats, busy), False)
    assert seats.take(late, BOB) is None
    assert busy.is_open


def test_one_address_takes_only_its_own_places():
    """Charlie's thousandth connection must not close Bob's."""
    seats, bob = seats_of(10, per_address=2), Line()
    seats.take(bob, BOB)
    lines = [Line() for _ in range(5)]
    for line in lines:
        assert seats.take(line, ALICE) is not None
    assert [line.is_open for line in lines] == [False, False, False, True, True]
    assert bob.is_open


def test_a_high_descriptor_makes_room_too():
    """Websockets take more than one descriptor, so the number of connections is not enough."""
    seats, idle = seats_of(10, descriptors=100), Line(99)
    take(seats, idle)
    take(seats, Line(99), BOB)
    before = idle.is_open
    take(seats, Line(100), BOB)
    assert (before, idle.is_open) == (True, False)
    assert seats.take(Line(100 + CLOSING_MAX), BOB) is None


def test_only_so_many_connections_are_accepted_while_others_close():
    """Threads may close more slowly than a flood arrives."""
    seats = seats_of(2)
    all_seats = [take(seats, Line()) for _ in range(2 + CLOSING_MAX)]
    assert seats.take(Line(), ALICE) is None
    for seat in all_seats:
        seats.leave(seat)
    assert seats.take(Line(), ALICE) is not None


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
    ],
)
def test_an_ipv6_client_is_its_network(host, network):
    """One customer of a provider has a whole /64 of addresses."""
    assert network_of((host, 1, 0, 0)) == network


class Listener:
    """A listening socket whose `accept` raises these errors, and then waits."""

    def __init__(self, *errors: OSError) -> None:
        self.errors = list(errors)

    def settimeout(self, _seconds: float) -> None:
        """The waiting is not real."""

    def accept(self) -> Any:
        """Raise the next error."""
        if self.errors:
            raise self.errors.pop(0)
        raise TimeoutError


def _loop(listener: Any, seats: Seats) -> AcceptLoop:
    def spawn(function: Any, *arguments: Any) -> None:
        threading.Thread(target=function, args=arguments, daemon=True).start()

    return AcceptLoop(listener, seats, spawn, lambda _seat, _address: None)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ECONNABORTED])
def test_no_error_of_accept_ends_the_loop(number):
    """A process that lives and accepts nobody serves nobody, for ever."""
    seats, idle = seats_of(10), Line()
    seats.take(idle, ALICE)
    listener = Listener(OSError(number, "no room"), OSError(number, "no room"))
    loop = _loop(listener, seats)
    loop.start()
    while listener.errors:
        assert not loop.has_ended
    loop.stop()
    assert loop.has_ended
    assert idle.is_open == (number == errno.ECONNABORTED)


def test_a_listening_socket_that_is_gone_ends_the_loop():
    """The process then ends too, and its supervisor starts it again."""
    loop = _loop(Listener(OSError(errno.EBADF, "closed")), seats_of(1))
    loop.start()
    limit = time.monotonic() + 5
    while not loop.has_ended and time.monotonic() < limit:
        time.sleep(0.01)
    assert loop.has_ended
