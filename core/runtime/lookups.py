"""Look up host names with a deadline, in every async mode.

`getaddrinfo` cannot be interrupted, and the owner of a name decides how slowly its server answers.
So each look-up has a thread of its own, which may outlive the caller's wait. Their number is
bounded.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

from core.runtime.hub import resolve_name

LOOK_UPS_MAX = 32
"""The look-ups under way at once in a process, with those that nobody waits for any more."""

_places = threading.BoundedSemaphore(LOOK_UPS_MAX)


class LookUpPlaces:
    """Places of one kind of look-ups, which the slow names of another kind cannot take."""

    def __init__(self, at_once_max: int) -> None:
        """`at_once_max` must differ from that of other kinds: gevent has a pool for each number."""
        self.at_once_max = at_once_max
        self.semaphore = threading.BoundedSemaphore(at_once_max)


class LookUpFailed(Exception):
    """The name has no address, or none was found in time; the message is a sentence."""


def look_up(
    host: str, port: int, seconds: float, *, own_places: LookUpPlaces | None = None
) -> list[str]:
    """The addresses of a host, as the system orders them, with their zones if they have one.

    Without `own_places` the places are shared with all others who have none. Raises LookUpFailed
    after `seconds` at the latest.
    """
    deadline = time.monotonic() + seconds
    places, threads_max = _places, LOOK_UPS_MAX
    if own_places is not None:
        places, threads_max = own_places.semaphore, own_places.at_once_max
    if not places.acquire(timeout=max(seconds, 0)):
        raise LookUpFailed("Too many other names are being resolved.")
    answer: Future[list[Any]] = Future()
    thread = threading.Thread(
        target=_resolve, args=(answer, places, threads_max, host, port), daemon=True
    )
    try:
        thread.start()
    except BaseException:
        places.release()
        raise
    try:
        entries = answer.result(timeout=max(deadline - time.monotonic(), 0))
    except TimeoutError:
        raise LookUpFailed("The host name was not resolved in time.") from None
    except Exception:
        raise LookUpFailed("The host name cannot be resolved.") from None
    return list(dict.fromkeys(_address_in(entry) for entry in entries))


def _resolve(
    answer: Future[list[Any]],
    places: threading.BoundedSemaphore,
    threads_max: int,
    host: str,
    port: int,
) -> None:
    try:
        answer.set_result(resolve_name(host, port, threads_max))
    except Exception as error:
        answer.set_exception(error)
    finally:
        places.release()


def _address_in(entry: Any) -> str:
    family, *_, address = entry
    text = str(address[0])
    if family == socket.AF_INET6 and address[3] and "%" not in text:
        text += f"%{address[3]}"
    ipaddress.ip_address(text)
    return text
