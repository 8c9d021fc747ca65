"""The simple design on the plain server of eventlet or gevent, with a pool for all clients.

python -m benchmarks.simple_green PORT DATABASE_URL FOLDER
"""

# ruff: noqa: I001 - the plain server patches the hub, so it is imported first
from __future__ import annotations

from benchmarks import plain_server

import sys
from pathlib import Path

from benchmarks import simple


def main() -> None:
    """Serve until the process is killed."""
    port, database_url, folder = sys.argv[1:4]
    pool = plain_server.pool_options(database_url)
    app, socketio = simple.build(database_url, Path(folder), plain_server.MODE, pool)
    with app.app_context():
        plain_server.let_others_run(simple.db.engine)
    simple.start(app, socketio)
    plain_server.serve(app, int(port))


if __name__ == "__main__":
    main()
