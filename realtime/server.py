"""The Socket.IO server of one app."""

from __future__ import annotations

import logging
from typing import Any

from engineio.payload import Payload
from flask_openapi import OpenAPI
from flask_socketio import SocketIO

from config import Settings
from payments.presenter import Presenter
from realtime import merchant_ws, rooms
from realtime.announcer import Announcer
from realtime.channel import Channel
from realtime.credentials import Watchings
from realtime.merchant_sockets import MerchantSockets
from repository.database import ledger

PACKETS_AT_ONCE_MAX = 128
"""In one long-polling request: a dashboard may watch 100 payments; engine.io stops at 16."""

MESSAGE_BYTES_MAX = 16_384
"""A client sends ids; nothing it may say needs more."""


def init_realtime(app: OpenAPI, settings: Settings, presenter: Presenter) -> Announcer:
    """Attach Socket.IO under /socket.io and let it hear of every commit."""
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
    socketio = SocketIO()
    channel = Channel(settings.redis_url, settings.secret_key) if settings.redis_url else None
    announcer = Announcer(app, socketio, channel)
    start: Any = socketio.start_background_task
    sleep: Any = socketio.sleep
    watchings = Watchings(app, start, sleep)
    rooms.register(socketio, presenter, announcer, watchings)
    socketio.init_app(app, **options)
    sockets = MerchantSockets(app, watchings, start, sleep)
    announcer.hearers.append(sockets.hear)
    app.extensions["balcao_announcer"] = announcer
    app.extensions["balcao_watchings"] = watchings
    app.extensions["balcao_merchant_sockets"] = sockets
    app.register_api(merchant_ws.bp)
    with app.app_context():
        ledger().committed.append(announcer.committed)
    return announcer
