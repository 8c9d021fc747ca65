"""The Socket.IO server of one app."""

from __future__ import annotations

import logging
from typing import Any

from engineio.payload import Payload
from flask import Flask

from config import Settings
from core.runtime.parts import Parts
from realtime import rooms

PACKETS_AT_ONCE_MAX = 128
"""In one long-polling request: a dashboard may watch 100 payments; engine.io stops at 16."""

MESSAGE_BYTES_MAX = 16_384
"""A client sends ids; nothing it may say needs more."""


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
        # They write a trace for each message that is none: a stranger could fill the disk. What
        # fails in our own handlers is logged there.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    Payload.max_decode_packets = PACKETS_AT_ONCE_MAX
    rooms.register(parts.socketio, parts.presenter, parts.announcer, parts.watchings)
    parts.socketio.init_app(app, **options)
