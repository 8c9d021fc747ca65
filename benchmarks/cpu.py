"""CPU time of a process, of a tree of processes and of the machine; and who listens on a port."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_LISTENING = "0A"


def process_seconds(pid: int) -> float:
    """CPU seconds that a process and its threads have used, to the nanosecond."""
    # The clock that clock_getcpuclockid(3) names: Python offers it for threads alone.
    return time.clock_gettime((~pid << 3) | 2)


def tree_seconds(pid: int) -> float:
    """CPU seconds of a process, of its descendants, and of those that it has waited for."""
    seconds = 0.0
    for one in descendants(pid):
        with suppress(OSError):
            waited_for = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[13:15]
            seconds += process_seconds(one) + sum(map(int, waited_for)) / _TICKS_PER_SECOND
    return seconds


def machine_seconds() -> float:
    """CPU seconds that all programs and the kernel have used, to the hundredth."""
    line = Path("/proc/stat").read_text().split("\n", 1)[0]
    user, nice, system, _idle, _iowait, interrupts, soft_interrupts = map(int, line.split()[1:8])
    busy = user + nice + system + interrupts + soft_interrupts
    return busy / _TICKS_PER_SECOND


def descendants(pid: int) -> Iterator[int]:
    """The process, its children, and theirs."""
    yield pid
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in tasks.read_text().split():
                yield from descendants(int(child))


def process_that_listens(port: int) -> int | None:
    """The oldest process that listens on this port; None if we may not see it."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    sockets.add(f"socket:[{fields[9]}]")
    for pid in sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        with suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if link.readlink().name in sockets:
                        return pid
    return None
