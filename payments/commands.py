"""`flask keys`, `flask sweep` and `flask seed`."""

from __future__ import annotations

from datetime import timedelta

import click
from flask import Flask
from flask.cli import AppGroup, with_appcontext

from accounts import audit
from accounts.access import DEMO_LOGIN
from accounts.demo import ensure_demo_merchant
from config import Settings, current_settings
from db_models import AuditAction, Payment
from payments import service
from payments.location import key_ring
from payments.schemas import NewPayment
from payments.sweep import BATCH, expire_batch
from repository.database import Work, in_unit_of_work

keys = AppGroup("keys", help="The keys that sign the payloads of dynamic BR Codes.")


def register(app: Flask) -> None:
    """Add the commands to `flask`."""
    app.cli.add_command(keys)
    app.cli.add_command(sweep)
    app.cli.add_command(seed)


@keys.command("rotate")
def rotate() -> None:
    """Publish a new signing key; it signs after two minutes. The old key stays public for a day."""
    key_id = key_ring().rotate()
    in_unit_of_work(lambda work: audit.record(work, None, AuditAction.SIGNING_KEY_ROTATED, key_id))
    click.echo(f"New signing key: {key_id}")


@click.command("sweep")
@with_appcontext
def sweep() -> None:
    """Expire every due payment now, for example while the service is stopped."""
    total = 0
    while True:
        due_count, won = expire_batch(BATCH)
        total += won
        if due_count < BATCH:
            break
    click.echo(f"Expired: {total}")


@click.command("seed")
@with_appcontext
def seed() -> None:
    """Create example payments for the demo merchant; for development only."""
    settings = current_settings()
    if not settings.is_development:
        raise click.ClickException("Demo data is for development only. Set APP_ENV=development.")
    ensure_demo_merchant(settings)
    orders = (("Café da serra", 3490), ("Queijo meia cura", 5490), ("Mel silvestre", 2890))
    for description, centavos in orders:
        new_payment = NewPayment.of(centavos, description=description)
        payment = in_unit_of_work(
            lambda work, new_payment=new_payment: _create(work, new_payment, settings)  # type: ignore[misc]
        )
        click.echo(f"{settings.public_url}/payments/pix/{payment.txid}  {description}")


def _create(work: Work, new_payment: NewPayment, settings: Settings) -> Payment:
    return service.create(
        work,
        work.accounts.by_login(DEMO_LOGIN),
        new_payment,
        ttl=timedelta(seconds=settings.payment_ttl_seconds),
        location_base=settings.location_base,
    )
