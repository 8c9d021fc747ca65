"""Serve Socket.IO on one app."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask

from config import Settings
from core.runtime.parts import Parts
from realtime import engine, rooms
from realtime.allowance import Rates
from realtime.gate import SocketGate

MESSAGE_BYTES_MAX = 16_384
"""Enough for every message a client may send: they hold ids and a token."""


def init_realtime(app: Flask, settings: Settings, parts: Parts) -> None:
    """Serve Socket.IO under /socket.io."""
    options: dict[str, Any] = {
        "async_mode": settings.async_mode,
        "max_http_buffer_size": MESSAGE_BYTES_MAX,
        # One message after the other: a client that sends faster than we answer waits for itself.
        "async_handlers": False,
        "cors_allowed_origins": [],  # the gate checks the origin
        "manage_session": False,
        "monitor_clients": False,  # the heartbeats end silent clients
        "ping_interval": 20,
        "ping_timeout": 15,
    }
    if settings.workers > 1:
        options["transports"] = [
            "websocket"
        ]  # a poll could reach another worker than the one before
    for name in ("engineio.server", "socketio.server"):
        # They log a traceback for each malformed message, so that a stranger could fill the disk.
        # Our own handlers log their failures themselves.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    engine.install(Rates.of(settings))
    rooms.register(
        parts.socketio,
        parts.presenter,
        parts.announcer,
        parts.watchings,
        parts.metrics.count_socket,
    )
    parts.socketio.init_app(app, **options)
    gate = SocketGate(app.wsgi_app, settings, parts.connections, parts.metrics)
    server: Any = parts.socketio.server  # type: ignore[attr-defined]  # python-socketio's
    engine.start_heartbeats(server.eio)
    gate.count(server.eio)
    app.wsgi_app = gate  # type: ignore[method-assign]
