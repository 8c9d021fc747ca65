"""Connections with TLS to a database, in a process of a hub: what each answered or raised.

    python -m tests.db.tls_answers MODE '{"name": "DATABASE_URL", …}'

The module patches the hub, so it is imported first. It writes JSON to standard output.
"""

from __future__ import annotations

import sys

from server import async_mode

if __name__ == "__main__":
    async_mode.patch(sys.argv[1])

import json
from typing import Any

import sqlalchemy as sa

from core.runtime.hub import active_hub
from core.runtime.setting_urls import checked_database_url
from repository.connections import engine_options, read_results_quickly
from repository.hosts import use_hosts

BIG = 5_000_000
PROTOCOLS = {
    "postgresql": "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "mysql": "SELECT variable_value FROM information_schema.session_status "
    "WHERE variable_name = 'ssl_version'",
}


def answer_of(url: str) -> dict[str, Any]:
    """The protocol of the connection and the length of a large answer, or the error."""
    checked = checked_database_url(url)
    engine = sa.create_engine(checked, **engine_options(checked, green=False))
    use_hosts(engine)
    read_results_quickly(engine)
    protocol = sa.text(PROTOCOLS[engine.dialect.name])
    big = sa.text("SELECT repeat('x', :length)")
    try:
        with engine.connect() as connection:
            return {
                "protocol": connection.scalar(protocol),
                "big": len(connection.scalar(big, {"length": BIG})),
                "error": None,
            }
    except sa.exc.DBAPIError as error:
        return {"error": str(error.orig)}


if __name__ == "__main__":
    answers = {name: answer_of(url) for name, url in json.loads(sys.argv[2]).items()}
    sys.stdout.write(json.dumps({"hub": active_hub(), **answers}))
