"""The process's concurrency: which hub runs, if any, and calls to the hub's library.

eventlet, gevent and greenlet are imported only here, in `server/` and in
`realtime/websocket.py`: see decision 0034 and `tests/test_tidy.py`.
"""

from __future__ import annotations

import math
import select
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal, TypeVar

Result = TypeVar("Result")

_SHORTEST_SECONDS = 1e-6


def active_hub() -> Literal["eventlet", "gevent", "threading"]:
    """The hub whose monkey patch is in place, whatever ASYNC_MODE says; else threading."""
    if "eventlet" in sys.modules:
        from eventlet.patcher import is_monkey_patched

        if is_monkey_patched("socket"):
            return "eventlet"
    if "gevent" in sys.modules:
        from gevent.monkey import is_module_patched

        if is_module_patched("socket"):
            return "gevent"
    return "threading"


def run_on_pool(function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """Call the function on a real thread of the hub's pool; other greenlets run meanwhile.

    Raises RuntimeError if no hub runs.
    """
    hub = active_hub()
    if hub == "eventlet":
        from eventlet import tpool

        result: Result = tpool.execute(function, *args, **kwargs)
        return result
    if hub == "gevent":
        from gevent import get_hub

        answer: Result = get_hub().threadpool.apply(function, args, kwargs)
        return answer
    raise RuntimeError("no hub runs in this process")


def resolve_name(host: str, port: int, threads_max: int) -> list[Any]:
    """The system's addresses of a host for TCP; other greenlets run meanwhile.

    gevent resolves on the threads of its pool, where a slow name server would stop sign-ins, so
    this function has its own pool of `threads_max` threads there. Raises OSError.
    """
    arguments = (host, port, 0, socket.SOCK_STREAM)
    if active_hub() == "gevent":
        from gevent import get_hub
        from gevent.monkey import get_original

        pool = _name_threads(get_hub(), threads_max)
        answer: list[Any] = pool.apply(get_original("socket", "getaddrinfo"), arguments)
        return answer
    return list(socket.getaddrinfo(*arguments))


@cache
def _name_threads(hub: Any, threads_max: int) -> Any:
    from gevent.threadpool import ThreadPool

    return ThreadPool(threads_max, hub)


def call_soon(function: Callable[[], object]) -> None:
    """Call the function when all greenlets that can run have run; without a hub call it now.

    The function must not wait: under eventlet the hub itself calls it.
    """
    hub = active_hub()
    if hub == "eventlet":
        from eventlet.hubs import get_hub

        # By the hub itself: a greenlet for each call would cost six times as much.
        get_hub().schedule_call_global(0, function)
    elif hub == "gevent":
        from gevent import spawn_later

        # gevent runs up to a thousand callbacks before it looks at the sockets; after a timer it
        # has looked.
        spawn_later(_SHORTEST_SECONDS, function)
    else:
        function()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError inside the block after `seconds` if a hub runs; without one, do nothing.

    A socket of a patched process has a new timeout for each read, also within one handshake of
    TLS. A real socket has one timeout for the whole handshake and needs no limit from outside.
    """
    hub = active_hub()
    if hub == "eventlet":
        from eventlet import Timeout

        with Timeout(seconds, TimeoutError("the time limit has passed")):
            yield
    elif hub == "gevent":
        import gevent

        with gevent.Timeout(seconds, TimeoutError("the time limit has passed")):
            yield
    else:
        yield


def current_greenlet() -> object:
    """The greenlet that runs this code; both hubs use the same library for them."""
    from greenlet import getcurrent

    return getcurrent()


def system_poll() -> tuple[Any, int]:
    """The operating system's `poll` and POLLIN, also in a patched process.

    It blocks the whole hub, so call it only with a timeout of zero.
    """
    hub = active_hub()
    if hub == "eventlet":
        from eventlet.patcher import original

        original_select = original("select")
        return original_select.poll, original_select.POLLIN
    if hub == "gevent":
        from gevent.monkey import get_original

        return get_original("select", "poll"), get_original("select", "POLLIN")
    return select.poll, select.POLLIN


def socket_waiter() -> Callable[[int, bool, bool, float | None], int]:
    """A function that waits for a descriptor while other greenlets or threads run.

    It takes the descriptor, whether to wait for reading and for writing, and a limit in seconds or
    None. It returns 1 if the descriptor can be read, 2 if it can be written, 3 for both, and 0 if
    the limit has passed.
    """
    hub = active_hub()
    if hub == "eventlet":
        from eventlet.green.select import select as eventlet_select
        from eventlet.hubs import trampoline

        def wait_for_one(descriptor: int, reads: bool, seconds: float | None) -> None:
            trampoline(
                descriptor, read=reads, write=not reads, timeout=seconds, timeout_exc=TimeoutError
            )

        return _waiter(wait_for_one, eventlet_select)
    if hub == "gevent":
        from gevent.select import select as gevent_select
        from gevent.socket import wait_read, wait_write

        def wait_for_either(descriptor: int, reads: bool, seconds: float | None) -> None:
            wait = wait_read if reads else wait_write
            wait(descriptor, timeout=seconds, timeout_exc=TimeoutError())

        return _waiter(wait_for_either, gevent_select)
    return _poll_one


def _poll_one(descriptor: int, reads: bool, writes: bool, seconds: float | None) -> int:
    """Wait by the operating system; an error of the descriptor counts as readable."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN * reads | select.POLLOUT * writes)
    events = poller.poll(None if seconds is None else math.ceil(seconds * 1000))
    if not events:
        return 0
    mask = events[0][1]
    return bool(mask & ~select.POLLOUT) + 2 * bool(mask & select.POLLOUT)


def _waiter(
    wait_for_one: Callable[[int, bool, float | None], None], select: Callable[..., Any]
) -> Callable[[int, bool, bool, float | None], int]:
    """The hub's way to wait for one thing, and its `select` for the rare case of both."""

    def wait_for(descriptor: int, reads: bool, writes: bool, seconds: float | None) -> int:
        if reads and writes:
            readable, writable, _ = select([descriptor], [descriptor], [], seconds)
            return len(readable) + 2 * len(writable)
        try:
            wait_for_one(descriptor, reads, seconds)
        except TimeoutError:
            return 0
        return 1 if reads else 2

    return wait_for
