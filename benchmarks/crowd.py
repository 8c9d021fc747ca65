"""Many idle watchers in a process of their own, so that their work disturbs no measurement here.

python -m benchmarks.crowd PORT WATCHERS WATCH_MESSAGE

Prints a line when all watch. Ends when its input ends, and then prints the number of messages that
came for somebody else.
"""

from __future__ import annotations

import os
import resource
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.sockets import Crowd, Watcher

CONNECT_AT_ONCE = 100


def main() -> None:
    """Watch until the input ends."""
    port, watchers, message = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    crowd = Crowd()
    for number in range(watchers):
        watcher = Watcher(port, number)
        watcher.send_watch(message)
        crowd.add(watcher)
        if number % CONNECT_AT_ONCE == 0:
            crowd.attend(0.001)
    messages = crowd.attend(0.5)
    print("watching", flush=True)
    while not select.select([0], [], [], 0)[0]:
        messages += crowd.attend(0.2)
    print(messages, flush=True)
    os._exit(0)


@contextmanager
def waiting_crowd(port: int, watchers: int, message: str) -> Iterator[None]:
    """So many watchers. Raises AssertionError if one received an event."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.crowd", str(port), str(watchers), message],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "watching\n"
        yield
        process.stdin.close()
        messages = int(process.stdout.readline())
        assert messages == 0, f"{messages} messages for other payments reached idle watchers"
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


if __name__ == "__main__":
    main()
