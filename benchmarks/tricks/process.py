"""Tricks for the process: start, garbage collection and memory.

python -m benchmarks.tricks.process loading|pauses|memory|hashing 0|1

Each run measures one trick, on (1) or off (0), and prints one number.
"""

from __future__ import annotations

import gc
import io
import resource
import sys
import threading
import time
from collections.abc import Callable
from unittest.mock import patch

REQUESTS = 4000
PICTURES, SIDE = 16, 6000
HASHES = 100


def loading(is_on: bool) -> float:
    """CPU seconds to load the service, with garbage collection off or on."""
    if is_on:
        gc.disable()
    started = time.process_time()
    import app

    assert app
    return time.process_time() - started


def pauses(is_on: bool) -> float:
    """Seconds of the longest collection during requests, with loaded objects frozen or not."""
    import tempfile
    from pathlib import Path

    from benchmarks.in_process import service
    from tests.support.databases import Databases

    longest, began = 0.0, 0.0

    def note(phase: str, _info: dict[str, int]) -> None:
        nonlocal longest, began
        if phase == "start":
            began = time.process_time()
        else:
            longest = max(longest, time.process_time() - began)

    with (
        tempfile.TemporaryDirectory() as folder,
        Databases().fresh("sqlite") as url,
        service(Path(folder), url) as ours,
    ):
        if is_on:
            gc.freeze()
        operation = ours.operations()["page"]
        gc.callbacks.append(note)
        for _ in range(REQUESTS // operation.at_once):
            operation.measure(ours.app)
        gc.collect()
    return longest


def memory(is_on: bool) -> float:
    """Megabytes gained after each of several threads in turn has decoded a large picture."""
    from PIL import Image

    from core.runtime.memory import return_large_blocks

    file = io.BytesIO()
    Image.new("L", (SIDE, SIDE), 255).save(file, "PNG")
    if is_on:
        return_large_blocks()
    before = _resident()
    ended = [threading.Event() for _ in range(PICTURES)]

    def unpack() -> None:
        with Image.open(io.BytesIO(file.getvalue())) as image:
            image.convert("RGB").resize((SIDE // 3, SIDE // 3))

    def work(number: int) -> None:
        unpack()
        if number + 1 < PICTURES:
            ended[number].set()
        ended[-1].wait()  # the thread stays alive, as in a pool

    for number in range(PICTURES):
        threading.Thread(target=work, args=(number,), daemon=True).start()
        if number + 1 < PICTURES:
            ended[number].wait()
    grown = _resident() - before
    ended[-1].set()
    return grown


def hashing(is_on: bool) -> float:
    """Peak megabytes while threads of one process hash many passwords at once."""
    from accounts import passwords
    from core.runtime.gate import Gate

    gate = Gate(passwords.HASHES_AT_ONCE_MAX if is_on else HASHES, HASHES)
    barrier = threading.Barrier(HASHES)

    def hash_one() -> None:
        barrier.wait()
        passwords.hash_password("a password of many")

    with patch.object(passwords._places, "gate", gate):
        threads = [threading.Thread(target=hash_one) for _ in range(HASHES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resident() -> float:
    import os

    from benchmarks.processes import resident_bytes

    return resident_bytes(os.getpid()) / 1024 / 1024


PARTS: dict[str, Callable[[bool], float]] = {
    "loading": loading,
    "pauses": pauses,
    "memory": memory,
    "hashing": hashing,
}

if __name__ == "__main__":
    print(PARTS[sys.argv[1]](sys.argv[2] == "1"))
