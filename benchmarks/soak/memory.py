"""Memory and descriptors of the processes during a soak, and how fast they grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.service import ServiceProcess, resident_bytes

SAMPLE_SECONDS = 2.0
WARM_UP_SECONDS = 60.0
"""Pools, caches and the allocator's arenas fill first."""
JUDGED_SECONDS = 300.0
"""A shorter series is printed and not judged, because pools and caches still fill."""
MIB_PER_MINUTE_MAX = 1.0
"""Bounded memories may still fill: ten thousand ids of events are 1 MiB. A leak of 4 kB per payment
is 1 MiB per minute at four payments per second."""
DESCRIPTORS_PER_MINUTE_MAX = 5.0
"""The pools may still fill: 25 connections of the database, in the five minutes of the shortest
series that is judged. A leak of one descriptor for each connection of a page is six per minute."""
MIB = 1024 * 1024


@dataclass(frozen=True)
class Sample:
    """One look at one process."""

    at: float
    resident_bytes: int
    own_bytes: int
    """What no other process shares (USS)."""
    descriptors: int


@dataclass(frozen=True)
class Growth:
    """The slopes of one process, by least squares over its samples after the warm-up."""

    name: str
    seconds: float
    resident: float
    """MiB per minute; so is `own`."""
    own: float
    descriptors: float
    """Per minute."""
    last: Sample

    def line(self) -> str:
        """The figures for a person."""
        judged = "" if self.is_judged else " (too short to judge)"
        return (
            f"{self.name}: {self.seconds:.0f} s after warm-up; "
            f"RSS {self.last.resident_bytes / MIB:.0f} MiB {self.resident:+.2f} MiB/min, "
            f"USS {self.last.own_bytes / MIB:.0f} MiB {self.own:+.2f} MiB/min, "
            f"descriptors {self.last.descriptors} {self.descriptors:+.2f}/min{judged}"
        )

    @property
    def is_judged(self) -> bool:
        """Whether the series is long enough."""
        return self.seconds >= JUDGED_SECONDS

    def fault(self) -> str | None:
        """A sentence if the process grows."""
        is_flat = self.own <= MIB_PER_MINUTE_MAX and self.descriptors <= DESCRIPTORS_PER_MINUTE_MAX
        return None if is_flat or not self.is_judged else f"{self.name} grows: {self.line()}"


def slope_per_minute(times: Sequence[float], values: Sequence[float]) -> float:
    """The least-squares slope; times are in seconds. 0 for fewer than two times."""
    count = len(times)
    if count < 2 or times[0] == times[-1]:
        return 0.0
    mean_time, mean_value = sum(times) / count, sum(values) / count
    above = sum((t - mean_time) * (v - mean_value) for t, v in zip(times, values, strict=True))
    return 60 * above / sum((t - mean_time) ** 2 for t in times)


class MemoryWatch:
    """Samples each process every SAMPLE_SECONDS; a new process begins a new series."""

    def __init__(self, services: list[ServiceProcess], warm_up_seconds: float) -> None:
        self._services = services
        self._warm_up_seconds = warm_up_seconds
        self._series: dict[tuple[int, int], list[Sample]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> list[Growth]:
        """Take no further samples; return the growth of each process that lived long enough."""
        self._stopped.set()
        self._thread.join(30)
        grown = []
        for (number, pid), samples in self._series.items():
            late = [one for one in samples if one.at - samples[0].at >= self._warm_up_seconds]
            if len(late) < 3:
                continue
            times = [one.at for one in late]
            grown.append(
                Growth(
                    f"process {number} (pid {pid})",
                    times[-1] - times[0],
                    slope_per_minute(times, [one.resident_bytes / MIB for one in late]),
                    slope_per_minute(times, [one.own_bytes / MIB for one in late]),
                    slope_per_minute(times, [one.descriptors for one in late]),
                    late[-1],
                )
            )
        return grown

    def _run(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            for number, service in enumerate(self._services):
                process = service.process
                if process is not None and process.poll() is None:
                    with suppress(OSError, AssertionError):  # it ended in between
                        sample = take_sample(process.pid)
                        self._series.setdefault((number, process.pid), []).append(sample)


def take_sample(pid: int) -> Sample:
    """Memory and descriptors of a process. Raises OSError if it has ended."""
    own = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            own += int(line.split()[1]) * 1024
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Sample(time.monotonic(), resident_bytes(pid), own, descriptors)
