"""Balcão: `create_app` builds the service, `main` serves it with its jobs and a demo bank.

The hub is patched before anything else is imported (see `async_mode`).
"""

from __future__ import annotations

import gc
import os
import signal
import sys

if __name__ == "__main__":
    gc.disable()  # what is loaded now is never garbage: a quarter of the time to load it
    # Until it serves, Ctrl-C just ends it: there is nothing to answer, and no trace to show.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from server import async_mode

if __name__ == "__main__":
    async_mode.patch(async_mode.chosen())

import hmac
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from flask import Flask
from sqlalchemy.exc import DBAPIError
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from accounts.demo import ensure_demo_merchant
from accounts.setup import init_accounts
from blueprints.admin.setup import init_admin
from blueprints.checkout.setup import init_checkout
from blueprints.payer.demo import ensure_demo_payer
from blueprints.payer.setup import init_payer
from blueprints.portal.setup import init_portal
from blueprints.recovery.setup import init_recovery
from blueprints.shop import routes as shop_routes
from blueprints.transactions import payment_routes as started_payment_routes
from blueprints.transactions import routes as transaction_routes
from config import ConfigurationError, Settings
from core.clock import Clock, SystemClock
from core.runtime.offload import active_hub
from payments.presenter import Presenter
from payments.setup import init_payments
from realtime.channel import connect
from realtime.merchant_ws import merchant_sockets
from realtime.server import init_realtime
from repository.connections import engine_options
from repository.database import init_database, reading
from server import jobs, schema, serving
from web import docs_routes
from web.api_docs import make_app
from web.bodies import StrictRequest, WireJson
from web.health import init_health
from web.limits import init_limits
from web.logs import init_logs
from web.metrics import init_metrics
from web.pages import init_pages
from web.problems import init_problems
from web.requests import init_requests

ROOT = Path(__file__).resolve().parent
MAKE_ADMIN = "flask --app app accounts create root --role admin"


def create_app(settings: Settings | None = None, clock: Clock | None = None) -> Flask:
    """The service, ready to answer; no job runs and nothing listens yet."""
    # A command line or a test runs unpatched, whatever the serving process is set to.
    settings = (settings or Settings.load()).model_copy(update={"async_mode": active_hub()})
    clock = clock or SystemClock()
    app = make_app(
        "balcao", root_path=str(ROOT), static_folder="static", template_folder="templates"
    )
    app.request_class = StrictRequest
    app.json = WireJson(app)
    app.config["BALCAO"] = settings
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(
        settings.database_url, green=settings.async_mode != "threading"
    )
    presenter = Presenter(settings.public_url)
    app.extensions["balcao_presenter"] = presenter
    init_database(app, clock)
    schema.init_migrations(app)
    init_problems(app)
    init_requests(app, settings)
    init_metrics(app)
    init_pages(app)
    init_limits(app, settings)
    init_accounts(app, settings)
    init_health(app, settings, connect(settings.redis_url) if settings.redis_url else None)
    init_payments(app, settings)
    init_checkout(app)
    for bp in (transaction_routes.bp, started_payment_routes.bp):
        app.register_api(bp)
    app.register_blueprint(docs_routes.bp)
    app.register_blueprint(shop_routes.bp)
    init_portal(app)
    init_admin(app)
    init_payer(app, settings)
    init_recovery(app)
    if settings.is_development:
        from bank.cli import bank_cli

        app.config["BANK_DATABASE_URL"] = settings.bank_database_url
        app.cli.add_command(bank_cli)
    init_realtime(app, settings, presenter)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, hops, hops, hops, hops)  # type: ignore[method-assign]
    return app


def mount_bank(app: Flask, settings: Settings) -> Flask:
    """Serve the simulated bank at /bank of the same process: an application beside, not within."""
    from urllib.parse import urlsplit

    from bank.app import create_bank_app
    from bank.money.demo import migrate
    from bank.settings import BankSettings, BankSettingsError

    here = f"http://{_local_host(settings)}:{settings.port}"
    host = settings.location_base.split("/")[0]
    try:
        bank = create_bank_app(
            BankSettings(
                database_url=settings.bank_database_url,
                webhook_secret=settings.bank_webhook_secret,
                webhook_secret_previous=settings.bank_webhook_secret_previous,
                service_url=here,
                # Derived: neither application's cookies open the other's doors.
                secret_key=hmac.digest(settings.secret_key.encode(), b"bank", "sha256").hex(),
                participant_hosts={host: here, urlsplit(settings.public_url).netloc: here},
            )
        )
        migrate(settings.bank_database_url)
    except (BankSettingsError, RuntimeError) as error:
        raise ConfigurationError(str(error)) from None
    except DBAPIError as error:
        reason = schema.reason_of(error)
        raise ConfigurationError(f"The bank's database cannot be opened: {reason}.") from None
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/bank": bank.wsgi_app})  # type: ignore[method-assign]
    return bank


def _local_host(settings: Settings) -> str:
    return "127.0.0.1" if settings.host in ("0.0.0.0", "::", "localhost") else settings.host  # noqa: S104 - compared


def main() -> int:
    """Start the service, its jobs and, in development, the bank; gives the exit status."""
    try:
        settings = Settings.load()
        listener = serving.bind(settings)
        init_logs(settings)
        app = create_app(settings)
        schema.require_schema(app, migrate=settings.is_development)
        bank: Flask | None = None
        if settings.is_development:
            with app.app_context():
                ensure_demo_merchant(settings)
                ensure_demo_payer(settings)
        if settings.serves_bank:
            bank = mount_bank(app, settings)
    except ConfigurationError as error:
        click.echo(f"Balcão cannot start: {error}", err=True)
        return 1
    working = jobs.Jobs(app, settings)
    gc.freeze()
    gc.enable()

    def started() -> None:
        working.start()
        if bank is not None:
            from bank.app import start_jobs

            start_jobs(bank)
        _say_where(settings)
        if not settings.is_development:
            _say_whom_it_lacks(app)

    def stopping() -> None:
        if bank is not None:
            from bank.app import close_bank_app

            close_bank_app(bank)
        working.stop()
        merchant_sockets(app).close_all()

    serving.serve(app, settings, listener, started, stopping)
    return 0


def _say_where(settings: Settings) -> None:
    lines: list[tuple[str, str]] = [("API docs", f"{settings.public_url}/docs")]
    if settings.is_development:
        lines = [
            ("Demo shop", f"{settings.public_url}/"),
            ("Portal", f"{settings.public_url}/portal (demo, {settings.demo_password})"),
            ("Payer", f"{settings.public_url}/pay (bia, {settings.demo_password})"),
            ("Admin", f"{settings.public_url}/admin (after: {MAKE_ADMIN})"),
            ("Bank app", f"{settings.bank_url}/"),
            *lines,
        ]
    _say(
        f"Balcão is open ({settings.async_mode}, {settings.app_env}). Ctrl-C closes it.",
        *(f"  {name:<10} {url}" for name, url in lines),
    )


def _say_whom_it_lacks(app: Flask) -> None:
    """In production nobody is made by itself: say how, as long as there is nobody."""
    with app.app_context(), reading() as work:
        somebody = work.accounts.any_exists()
    if not somebody:
        _say("  No account yet: flask --app app accounts create LOGIN --role merchant")


def _say(*lines: str) -> None:
    """Write to standard output; a full disk below it, or nobody who reads it, stops no service."""
    with suppress(OSError):
        for line in lines:
            click.echo(line)
        sys.stdout.flush()


def _leave(status: int) -> Any:
    """End the process; sockets that clients keep open must not hold it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    _leave(main())
