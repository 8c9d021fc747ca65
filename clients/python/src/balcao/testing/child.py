"""Run Balcão's `app.py` until the process that started it has ended, however it ended.

    python child.py CHECKOUT PARENT_PID < a pipe that only the parent holds

It runs in the checkout's Python, where the package `balcao` is not installed. The thread that
watches is one of the system: `app.py` replaces threads and sockets of the standard library, so the
functions are looked up before.
"""

from __future__ import annotations

import os
import runpy
import sys
from _thread import start_new_thread
from os import _exit, getppid, read
from select import select

CHECK_SECONDS = 1.0
_STDIN = 0


def watch(parent: int) -> None:
    """End this process when the pipe has ended, or when its parent is another one.

    At once, because the databases are of no use to anybody. A child that pytest forked may hold the
    pipe open, so the parent is looked at as well.
    """
    while getppid() == parent:
        readable, _, _ = select([_STDIN], [], [], CHECK_SECONDS)
        if readable and not read(_STDIN, 1024):
            break
    _exit(0)


def main(checkout: str, parent: int) -> None:
    """Run `app.py` of the checkout as `python app.py` does."""
    if getppid() != parent:
        sys.exit(
            "The Python that runs Balcão must be pytest's own child: name the program itself with "
            "BALCAO_PYTHON, not a script that starts it. (Or pytest has ended.)"
        )
    start_new_thread(watch, (parent,))
    os.chdir(checkout)
    # The folder of this file has modules named like folders of the checkout.
    sys.path[0] = checkout
    sys.argv = ["app.py"]
    runpy.run_path("app.py", run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
