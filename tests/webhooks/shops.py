"""A shop's server in tests: receives webhooks on a real socket, and checks every signature."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from flask import Flask

from config import parts_of
from core.clock import Clock
from core.errors import BadSignature
from core.signing import signatures
from tests.support.clocks import FrozenClock
from tests.support.town import MovingClock
from webhooks.slots import PROBE_MAX_SECONDS

IDLE_ROUNDS, ROUNDS_MAX = 2, 200


@dataclass
class Shop:
    """A receiver; `answer` decides what it answers to an event: a status, and headers."""

    url: str
    clock: Clock
    answer: Callable[[dict[str, Any]], tuple[int, dict[str, str]]] = lambda _: (200, {})
    secrets: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    """Paths with their queries."""
    arrived_at: list[float] = field(default_factory=list)
    """By the monotonic clock."""

    def types(self) -> list[str]:
        """The types of what came, without pings, in order."""
        return [event["type"] for event in self.events if event["type"] != "ping"]

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        """Check and store one request."""
        if self.secrets:
            for secret in self.secrets:
                signed = signatures.verify([secret], headers, body, self.clock.now())
                assert signed.message_id == json.loads(body)["id"]
        event = json.loads(body)
        self.bodies.append(body)
        self.headers.append(headers)
        self.arrived_at.append(time.monotonic())
        self.events.append(event)
        return self.answer(event)


@contextmanager
def open_shop(clock: Clock) -> Iterator[Shop]:
    """A shop's server on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            shop.paths.append(self.path)
            try:
                status, more = shop.take({k.lower(): v for k, v in self.headers.items()}, body)
            except (AssertionError, BadSignature):
                status, more = 400, {}
            self.send_response(status)
            for name, value in {"Content-Length": "0", **more}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    shop = Shop(f"http://127.0.0.1:{server.server_port}/hook", clock)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield shop
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send_all(app: Flask, clock: FrozenClock | MovingClock) -> None:
    """Number what happened and send all that is due, as the worker of a process does.

    Some seconds pass by the test's clock, because an event that waits for an earlier one, and an
    endpoint that failed, are looked at again a moment later.
    """
    webhooks = parts_of(app).webhooks
    slots = webhooks.worker.dispatcher.slots
    slots.clock = lambda: clock.now().timestamp() + idle * PROBE_MAX_SECONDS
    idle = 0
    for _ in range(ROUNDS_MAX):
        begun = webhooks.worker.run_once()
        limit = time.monotonic() + 20
        while slots.in_use and time.monotonic() < limit:
            time.sleep(0.005)
        idle = 0 if begun else idle + 1
        if idle == IDLE_ROUNDS:
            return
        if not begun:
            clock.advance(seconds=1)
    raise AssertionError("there is always more to send")
