"""Idle connections of a stranger close the service to nobody, in all modes."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from tests.process.talking import Talker
from tests.support.service import ROOT

MODES = ("eventlet", "gevent", "threading", "gunicorn")
FILES = 500
STRANGERS = 700


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_more_idle_connections_than_open_files_keep_nobody_out(serve, mode):
    """Before, the accept loop ended: the process lived, and answered nobody until it was killed."""
    service = serve(ASYNC_MODE=mode, REQUEST_HEAD_SECONDS=3, open_files_max=FILES)
    with ExitStack() as stack:
        for number in range(STRANGERS):
            # Three addresses, because one may not even take half of the places.
            source = (f"127.0.0.{number % 3 + 2}", 0)
            stranger = socket.create_connection(("127.0.0.1", service.port), 20, source)
            stack.enter_context(stranger)
        started = time.monotonic()
        assert service.create()["status"] == "pending"
        assert time.monotonic() - started < 5
        time.sleep(3.5)
        assert service.get("/readyz")[0] == 200  # files for the database are left
        quiet = stack.enter_context(Talker(service.port))
        assert quiet.get("/healthz")[0] == 200
    assert service.get("/healthz")[0] == 200
    assert "Traceback" not in service.log()


@pytest.mark.parametrize("mode", MODES[:3])
def test_a_process_that_cannot_accept_ends_with_status_1(mode):
    """A supervisor restarts what has ended; it cannot see that nobody is accepted."""
    program = f"""
from server import async_mode
async_mode.patch({mode!r})
import threading, time
from config import Settings
from server import serving
settings = Settings.load()
listener = serving.bind(settings)
def lose():
    time.sleep(0.5)
    listener.close()
status = serving.serve(lambda *_: [], settings, listener,
                       threading.Thread(target=lose).start, lambda: None)
import os
os._exit(status)
"""
    environment = {"PORT": "0", "ASYNC_MODE": mode, "PATH": "/usr/bin", "HOST": "127.0.0.1"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        environment["PORT"] = str(probe.getsockname()[1])
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, timeout=40, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    assert "serving.cannot_accept" in ended.stdout + ended.stderr
