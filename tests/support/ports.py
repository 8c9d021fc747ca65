"""Ports for servers that tests start."""

from __future__ import annotations

import itertools
import os
import socket

FIRST, END = 15_000, 32_000
"""Below the ports of outgoing connections: none takes the port of a server that restarts."""

_numbers = itertools.count(os.getpid() * 997)


def free_port() -> int:
    """A loopback port that is free at this moment; another one each time."""
    for _ in range(END - FIRST):
        port = FIRST + next(_numbers) % (END - FIRST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError("no port is free")
