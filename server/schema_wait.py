"""`flask wait-for-schema`: for the init containers of a cluster, where a Job migrates."""

from __future__ import annotations

import time

import click
from flask import Flask, current_app

from config import ConfigurationError
from server.schema import require_schema

POLL_INTERVAL_SECONDS = 2.0
WAIT_DEFAULT_SECONDS = 600.0


@click.command("wait-for-schema")
@click.option(
    "--seconds",
    type=click.FloatRange(0, 86_400),
    default=WAIT_DEFAULT_SECONDS,
    show_default=True,
    help="Give up after so many seconds.",
)
def wait_for_schema(seconds: float) -> None:
    """Wait until the database has the schema of this code; changes nothing."""
    limit = time.monotonic() + seconds
    is_first = True
    while True:
        try:
            require_schema(current_app, migrate=False)
        except ConfigurationError as error:
            if time.monotonic() >= limit:
                raise click.ClickException(str(error)) from None
            if is_first:
                click.echo(f"Waiting: {error}", err=True)
                is_first = False
            time.sleep(POLL_INTERVAL_SECONDS)
        else:
            return


def init_schema_wait(app: Flask) -> None:
    """Add the command."""
    app.cli.add_command(wait_for_schema)
