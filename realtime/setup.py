"""Serve Socket.IO on one app."""

from __future__ import annotations

import logging
from typing import Any

from engineio.payload import Payload
from flask import Flask

from config import Settings
from core.runtime.parts import Parts
from realtime import rooms

PACKETS_AT_ONCE_MAX = 128
"""In one long-polling request: a portal page may watch 100 payments; engine.io allows 16."""

MESSAGE_BYTES_MAX = 16_384
"""Enough for every message a client may send: they hold ids and a token."""


def init_realtime(app: Flask, settings: Settings, parts: Parts) -> None:
    """Serve Socket.IO under /socket.io."""
    options: dict[str, Any] = {
        "async_mode": settings.async_mode,
        "max_http_buffer_size": MESSAGE_BYTES_MAX,
        "manage_session": False,
        "ping_interval": 20,
        "ping_timeout": 15,
    }
    for name in ("engineio.server", "socketio.server"):
        # They log a traceback for each malformed message, so that a stranger could fill the disk.
        # Our own handlers log their failures themselves.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    Payload.max_decode_packets = PACKETS_AT_ONCE_MAX
    rooms.register(parts.socketio, parts.presenter, parts.announcer, parts.watchings)
    parts.socketio.init_app(app, **options)
