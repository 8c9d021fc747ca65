"""`flask keys …` and `flask sweep`: the operator's terminal."""

from __future__ import annotations

from datetime import timedelta

import click
from flask import Flask
from flask.cli import AppGroup, with_appcontext

from accounts.access import DEMO_LOGIN
from accounts.demo import ensure_demo_merchant
from config import Settings, current_settings
from db_models import Payment
from payments import service
from payments.location import key_ring
from payments.schemas import NewPayment
from payments.sweep import BATCH, expire_batch
from repository.database import Work, in_unit_of_work

keys = AppGroup("keys", help="The keys that sign what locations serve.")


def register(app: Flask) -> None:
    """Add the commands to `flask`."""
    app.cli.add_command(keys)
    app.cli.add_command(sweep)
    app.cli.add_command(seed)


@keys.command("rotate")
def rotate() -> None:
    """Show a new key, which signs two minutes later; the old one stays shown for a day."""
    click.echo(f"New signing key: {key_ring().rotate()}")


@click.command("sweep")
@with_appcontext
def sweep() -> None:
    """Write down every payment that is due as expired, now; for a service that is down."""
    total = 0
    while True:
        found, won = expire_batch(BATCH)
        total += won
        if found < BATCH:
            break
    click.echo(f"Expired: {total}")


@click.command("seed")
@with_appcontext
def seed() -> None:
    """Give the demo merchant a few payments to look at; for development."""
    settings = current_settings()
    if not settings.is_development:
        raise click.ClickException("Demo data belongs into a development profile.")
    ensure_demo_merchant(settings)
    orders = (("Café da serra", 3490), ("Queijo meia cura", 5490), ("Mel silvestre", 2890))
    for description, centavos in orders:
        asked = NewPayment.of(centavos, description=description)
        payment = in_unit_of_work(lambda work, asked=asked: _create(work, asked, settings))  # type: ignore[misc]
        click.echo(f"{settings.public_url}/payments/pix/{payment.txid}  {description}")


def _create(work: Work, asked: NewPayment, settings: Settings) -> Payment:
    return service.create(
        work,
        work.accounts.by_login(DEMO_LOGIN),
        asked,
        ttl=timedelta(seconds=settings.payment_ttl_seconds),
        location_base=settings.location_base,
    )
