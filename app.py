"""Balcão: `create_app` builds the service, `main` serves it with its jobs and a demo bank.

The hub is patched before anything else is imported (see `server/async_mode.py`).
"""

from __future__ import annotations

import gc
import os
import signal
import sys

if __name__ == "__main__":
    gc.disable()  # until `run`: imports create no garbage, so this only saves time
    # Before the service serves, Ctrl-C ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from server import async_mode

if __name__ == "__main__":
    async_mode.patch(async_mode.configured_mode())

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import click
import structlog
from flask import Flask
from flask.cli import NoAppException
from flask_openapi import OpenAPI
from werkzeug.middleware.proxy_fix import ProxyFix

from accounts import csrf, refusals, renewal
from accounts.demo import ensure_demo_merchant
from accounts.pix_ca import ensure_demo_certificate, ensure_tls_files
from accounts.setup import init_accounts
from blueprints.admin.setup import init_admin
from blueprints.checkout.setup import init_checkout
from blueprints.payer.demo import ensure_demo_payer
from blueprints.payer.setup import init_payer, open_wallet_at_sign_up
from blueprints.pix_api.setup import init_pix_api
from blueprints.portal.setup import init_portal
from blueprints.recovery.setup import init_recovery
from blueprints.shop.setup import init_shop
from blueprints.transactions.setup import init_transactions
from config import ConfigurationError, Settings, clock_of, parts_of
from core.clock import Clock
from core.runtime import setting_rules
from core.runtime.hub import active_hub
from core.runtime.parts import EXTENSION, Parts
from payments.setup import init_payments
from providers.setup import init_providers
from realtime.changes import connect_changes
from realtime.setup import init_realtime
from server import jobs, schema, serving
from server.backup import commands as backup_commands
from server.bank_mount import mount_bank, record_at_bank
from server.banner import print_banner, print_first_account_hint
from server.dev import refuse_flask_run
from server.doctor import commands as doctor_commands
from server.metrics_folder import prepare_folder
from server.parts import build_parts
from server.reencryption import init_reencryption
from server.roles import OnlyProbes
from server.schema_wait import init_schema_wait
from server.tls import server_context
from server.turns import InTurn
from web import problems, requests
from web.addresses import PlainAddress
from web.api_docs import make_app
from web.bodies import StrictRequest, WireJson
from web.compression import compression_hooks
from web.docs_routes import init_docs
from web.doctor_echo import init_doctor_echo
from web.health import init_health
from web.limits import init_limits
from web.logs import init_logs
from web.metrics import init_metrics, shared_folder, use_own_numbers
from web.page_patterns import init_page_patterns
from web.pages import init_pages, set_page_headers
from web.problems import init_problems
from web.request_counts import request_bound
from web.requests import init_requests
from web.static_files import init_static_files
from webhooks.setup import init_webhooks

NEW_OBJECTS_BEFORE_COLLECTION = 10_000
"""A collection looks at all that is new. After each 700 objects, as Python does by default, they
took 2.5 % of the CPU of confirmations."""

log = structlog.get_logger()
ROOT = Path(__file__).resolve().parent


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Let a wrong setting end a command with one sentence, as it ends the service."""
    try:
        yield
    except ConfigurationError as error:
        context = click.get_current_context(silent=True)
        if context is None:
            raise
        if _shows_help(context):  # Flask prints the sentence, then the help without our commands
            raise NoAppException(str(error)) from None
        raise click.ClickException(str(error)) from None


def _shows_help(context: click.Context) -> bool:
    """Whether Flask only lists the commands: click does so before it has read all options."""
    options = context.command.params
    return any(context.get_parameter_source(option.name or "") is None for option in options)


@_one_sentence()
def create_app(settings: Settings | None = None, clock: Clock | None = None) -> Flask:
    """Build the service, without jobs and without a listening socket.

    Raises ConfigurationError; within a command ClickException, within its help NoAppException.
    """
    refuse_flask_run()
    # Commands and tests run unpatched, whatever ASYNC_MODE says.
    settings = (settings or Settings.load()).model_copy(update={"async_mode": active_hub()})
    is_command = click.get_current_context(silent=True) is not None
    if is_command:
        init_logs(settings)  # else a command shows lines of every level among its own output
    _prepare_metrics(is_command)
    app = make_app(
        "balcao", root_path=str(ROOT), static_folder="static", template_folder="templates"
    )
    app.request_class = StrictRequest
    app.json = WireJson(app)
    app.config["BALCAO"] = settings
    parts = build_parts(app, settings, clock or clock_of(settings))
    app.extensions[EXTENSION] = parts
    _add_routes(app, settings, parts)
    _add_hooks(app, settings, parts)
    _add_listeners(settings, parts)
    return app


def _prepare_metrics(is_command: bool) -> None:
    """Check the folder of common metrics, if this process writes any there.

    A command does not: its numbers would be added to those of the service. Raises
    ConfigurationError.
    """
    folder = shared_folder()
    if folder is None or is_command:
        use_own_numbers()  # an empty variable would be the current folder
    else:
        prepare_folder(folder)


def _add_routes(app: OpenAPI, settings: Settings, parts: Parts) -> None:
    """Register the routes, commands, filters and error handlers of each folder."""
    schema.init_migrations(app)
    init_schema_wait(app)
    init_problems(app)
    init_static_files(app, settings, parts)  # inside the fixed headers
    init_requests(app, settings)
    init_metrics(app, parts.metrics)
    init_pages(app)
    init_page_patterns(app)
    init_limits(app, settings)
    init_accounts(app, settings)
    init_health(app, settings, schema.newest_revision)
    init_doctor_echo(app, settings)
    init_providers(app, settings)
    init_payments(app, settings, parts)
    init_webhooks(app)
    init_checkout(app, settings, parts)
    init_transactions(app)
    init_docs(app)
    init_shop(app)
    init_portal(app)
    init_admin(app)
    init_payer(app)
    init_recovery(app)
    init_pix_api(app)
    init_realtime(app, settings, parts)
    init_reencryption(app)
    backup_commands.register(app)
    doctor_commands.register(app)
    if settings.is_development:
        from bank.cli import bank_cli

        app.cli.add_command(bank_cli)


def _add_hooks(app: Flask, settings: Settings, parts: Parts) -> None:
    """Register the hooks around each request, listed in the order in which they run."""
    before_request: tuple[Any, ...] = (
        requests.begin_request,
        request_bound(settings, parts.request_counts),
        renewal.renew,
    )
    after_request: tuple[Any, ...] = (
        csrf.keep_form_cookie,
        renewal.hand_over,
        set_page_headers,
        *compression_hooks(settings),
        parts.metrics.measure,
        *requests.hub_hooks(settings, parts.socketio),
        requests.log_request,
        *requests.date_hooks(settings),
        problems.explain_precondition,
        refusals.note_refusal,
    )
    for hook in before_request:
        app.before_request(hook)
    for hook in reversed(after_request):  # Flask runs the last one first
        app.after_request(hook)
    app.wsgi_app = InTurn(app.wsgi_app, parts.turns)  # type: ignore[method-assign]
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(PlainAddress(app.wsgi_app), hops, hops, hops, hops)  # type: ignore[method-assign]


def _add_listeners(settings: Settings, parts: Parts) -> None:
    """Connect the listeners of commits, events and sign-ups; each list is called in its order."""
    parts.ledger.commit_listeners += [
        parts.metrics.count_events,
        parts.announcer.announce,
        parts.webhooks.worker.hear,
        parts.charge_calls.hear,
    ]
    parts.ledger.on_deliveries = parts.webhooks.worker.wake_dispatcher
    connect_changes(settings, parts)
    parts.announcer.listeners.append(parts.merchant_sockets.hear)
    if settings.is_development:
        parts.sign_up_listeners.append(open_wallet_at_sign_up)
    if settings.is_development and settings.serves_bank:
        parts.seed_listeners.append(partial(record_at_bank, settings))


def main() -> int:
    """Start the service, its jobs and, in development, the bank; return the exit status."""
    try:
        settings = Settings.load().model_copy(update={"workers": 1})
        listener = serving.bind(settings)
        tls_listener = serving.bind_tls(settings) if settings.role != "worker" else None
        app, bank = prepare(settings)
    except ConfigurationError as error:
        click.echo(f"Balcão cannot start: {error}", err=True)
        return 1
    return run(app, bank, settings, listener, tls_listener)


def serve_sockets(listeners: list[socket.socket], workers: int, number: int) -> int:
    """Serve on sockets that gunicorn has opened, as its worker with this number.

    Returns the exit status. Raises ConfigurationError.
    """
    settings = _settings_of_worker(workers, len(listeners))
    app, bank = prepare(settings)
    return run(app, bank, settings, *listeners, worker=number)


def check_start(workers: int, address_count: int) -> None:
    """Check what `serve_sockets` needs, and change no data. Raises ConfigurationError.

    In development, files of TLS that are missing are created.
    """
    settings = _settings_of_worker(workers, address_count)
    app = create_app(settings)
    _prepare_tls(settings)
    if settings.is_development:  # a worker migrates
        with app.app_context():
            schema.revision_of_database()
        return
    schema.require_schema(app, migrate=False)


def _settings_of_worker(workers: int, address_count: int) -> Settings:
    settings = Settings.load().model_copy(update={"workers": workers, "async_mode": active_hub()})
    fault = setting_rules.fault_of_workers(settings) or setting_rules.fault_of_addresses(
        settings, address_count
    )
    if fault:
        raise ConfigurationError(fault)
    return settings


def _prepare_tls(settings: Settings) -> None:
    """Read the files of TLS, which development creates. Raises ConfigurationError."""
    if settings.tls_port is not None and settings.role != "worker":
        if settings.is_development:
            ensure_tls_files(settings)
        server_context(settings)  # a missing file stops the start with a sentence


def prepare(settings: Settings) -> tuple[Flask, Flask | None]:
    """Build the service, check its database, and build the bank if this process serves it.

    In development the database is migrated and has the demo accounts. A database that is away is
    waited for. Raises ConfigurationError.
    """
    init_logs(settings)
    app = create_app(settings)
    _prepare_tls(settings)

    def prepare_databases() -> Flask | None:
        schema.require_schema(app, migrate=settings.is_development)
        if settings.is_development:
            with app.app_context():
                ensure_demo_merchant(settings)
                ensure_demo_payer(settings)
                if settings.tls_port is not None:
                    ensure_demo_certificate(settings)
        has_bank = settings.serves_bank and settings.role != "worker"
        return mount_bank(app, settings) if has_bank else None

    return app, schema.wait_for_database(prepare_databases, settings.start_wait_seconds)


def run(
    app: Flask,
    bank: Flask | None,
    settings: Settings,
    listener: socket.socket,
    tls_listener: socket.socket | None = None,
    *,
    worker: int | None = None,
) -> int:
    """Serve with the background jobs until a signal asks to stop; return the exit status."""
    background = jobs.Jobs(app, settings)
    if settings.role == "worker":
        app.wsgi_app = OnlyProbes(app.wsgi_app)  # type: ignore[method-assign]
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS_BEFORE_COLLECTION, *gc.get_threshold()[1:])
    gc.enable()

    def on_start() -> None:
        background.start()
        if bank is not None:
            from bank.app import start_jobs

            start_jobs(bank)
        if worker is not None:
            log.info("worker.serves", worker=worker, pid=os.getpid())
        if worker in (None, 1):
            print_banner(settings)
            if not settings.is_development:
                print_first_account_hint(app)

    def on_stop() -> None:
        if bank is not None:
            from bank.app import close_bank_app

            close_bank_app(bank)
        background.stop()
        parts_of(app).merchant_sockets.close_all()
        parts_of(app).watchings.forget_all()
        parts_of(app).announcer.stop()
        parts_of(app).ledger.callers.stop()

    return serving.serve(app, settings, listener, on_start, on_stop, tls_listener)


def _leave(status: int) -> Any:
    """End the process, even if clients keep sockets open."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    _leave(main())
