"""Serve an app with the plain server of the library of the async mode, without ours.

The module patches the hub, so it is imported first.
"""

# ruff: noqa: E402 - the patch must come before the imports it patches
from __future__ import annotations

from server import async_mode

MODE = async_mode.configured_mode()
async_mode.patch(MODE)

import socket
from typing import Any

from flask import Flask
from sqlalchemy import Engine, event

from core.runtime.database_hosts import FirstWritable

CONNECTIONS_MAX = 20_000


def pool_options(database_url: str) -> dict[str, int]:
    """A pool in which 64 clients wait for no connection."""
    return {} if database_url.startswith("sqlite") else {"pool_size": 64, "max_overflow": 0}


def let_others_run(engine: Engine) -> None:
    """Let other greenlets run while the engine waits for PostgreSQL: psycopg waits in C."""
    event.listen(engine, "do_connect", FirstWritable())


def serve(app: Flask, port: int) -> None:
    """Serve until the process is killed.

    The listening socket has TCP_NODELAY and the server takes many connections: without either, a
    comparison would measure these defaults alone.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    _SERVERS[MODE](app, listener)


def _eventlet(app: Flask, listener: Any) -> None:
    import eventlet.wsgi

    eventlet.wsgi.server(listener, app, max_size=CONNECTIONS_MAX, log_output=False)


def _gevent(app: Flask, listener: Any) -> None:
    from gevent.pywsgi import WSGIServer

    WSGIServer(listener, app, log=None).serve_forever()


def _threading(app: Flask, listener: Any) -> None:
    from werkzeug.serving import make_server

    host, port = listener.getsockname()
    make_server(host, port, app, threaded=True, fd=listener.fileno()).serve_forever()


_SERVERS = {"eventlet": _eventlet, "gevent": _gevent, "threading": _threading}
