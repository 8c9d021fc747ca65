"""How long something takes, without what the machine did meanwhile."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.service import ServiceProcess

TIMES = 3


def fastest(call: Callable[[], object]) -> float:
    """The seconds of the fastest of three calls: a machine that stalls does so once."""
    seconds = []
    for _ in range(TIMES):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def least_seconds(enough: float, measure: Callable[[], float]) -> float:
    """The least of up to three measurements; one below `enough` is the last.

    A machine that stalls does so once; a service that lets others wait does so each time.
    """
    seconds: list[float] = []
    while len(seconds) < TIMES and (not seconds or min(seconds) >= enough):
        seconds.append(measure())
    return min(seconds)


def slowest_answer(
    service: ServiceProcess, attack: Callable[[], None], source: str = "127.0.0.1"
) -> float:
    """How long the slowest `/healthz` takes while `attack` runs in a thread.

    `source` is the address that asks. Seconds in which the machine had no processor for the service
    or this test are not the attack's.
    """
    assert service.process is not None
    processes = (str(service.process.pid), "self")
    thread = threading.Thread(target=attack, daemon=True)
    address = urlsplit(service.url)
    slowest = 0.0
    thread.start()
    while True:
        is_last = not thread.is_alive()
        connection = http.client.HTTPConnection(
            address.netloc, timeout=60, source_address=(source, 0)
        )
        started, queued = time.monotonic(), [_queued_seconds(process) for process in processes]
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()
        seconds = time.monotonic() - started
        for process, before in zip(processes, queued, strict=True):
            after = _queued_seconds(process)
            seconds -= max((after[task] - before.get(task, 0.0) for task in after), default=0.0)
        slowest = max(slowest, seconds)
        if is_last:
            thread.join()
            return slowest
        time.sleep(0.02)


def _queued_seconds(process: str) -> dict[str, float]:
    """How long each thread of the process was ready to run, but had no processor.

    The second number of `schedstat` (Linux, Documentation/scheduler/sched-stats); empty where the
    kernel does not count it.
    """
    seconds = {}
    for task in Path(f"/proc/{process}/task").glob("*/schedstat"):
        with suppress(OSError):
            seconds[str(task)] = int(task.read_text(encoding="ascii").split()[1]) / 1e9
    return seconds
