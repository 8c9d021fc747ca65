"""`flask keys`, `flask sweep` and `flask seed`."""

from __future__ import annotations

from datetime import timedelta

import click
from flask import Flask
from flask.cli import AppGroup, with_appcontext

from accounts import audit
from accounts.access import DEMO_LOGIN
from accounts.demo import ensure_demo_merchant
from config import ConfigurationError, Settings, current_parts, current_settings
from db_models import AuditAction, Payment
from payments import lifecycle, service
from payments.at_bank.audit_commands import audit_accounts
from payments.demo_month import paid_sales, play_month
from payments.location import key_ring
from payments.schemas import NewPayment
from payments.sweep import BATCH, expire_batch
from providers.commands import provider_cli
from repository.database import Work, in_unit_of_work, reading

keys = AppGroup("keys", help="The keys that sign the payloads of dynamic BR Codes.")

_OPEN_ORDERS = (("Café da serra", 3490), ("Queijo meia cura", 5490), ("Mel silvestre", 2890))


def register(app: Flask) -> None:
    """Add the commands to `flask`."""
    app.cli.add_command(keys)
    app.cli.add_command(sweep)
    app.cli.add_command(seed)
    provider_cli.add_command(audit_accounts)


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
@click.option("--seed", "number", type=click.IntRange(0, 9999), default=1, show_default=True,
              help="Another number gives another month.")  # fmt: skip
@with_appcontext
def seed(number: int) -> None:
    """Give the demo merchant a month of sales and three open payments; for development only.

    A second run adds nothing while the open payments can be paid.
    """
    settings = current_settings()
    if not settings.is_development:
        raise click.ClickException("Demo data is for development only. Set APP_ENV=development.")
    ensure_demo_merchant(settings)
    sales = in_unit_of_work(lambda work: _play_month(work, number, settings))
    click.echo(f"Sales of the last month: {sales}" if sales else "The month is there already.")
    for index, (description, centavos) in enumerate(_OPEN_ORDERS):
        new_payment = NewPayment.of(
            centavos, description=description, order_id=f"{number}-aberto-{index + 1}"
        )
        payment = in_unit_of_work(
            lambda work, new_payment=new_payment: _ensure_open(work, new_payment, settings)  # type: ignore[misc]
        )
        click.echo(f"{settings.public_url}/payments/pix/{payment.txid}  {description}")
    _tell_bank(settings)
    if sales:
        click.echo("A service that runs shows the new sums of past days after a restart.")


def _tell_bank(settings: Settings) -> None:
    """Let the bank of this installation know the sales, also those of an earlier seed."""
    with reading() as work:
        sold = paid_sales(work, work.accounts.by_login(DEMO_LOGIN))
    listeners = current_parts().seed_listeners
    for listener in listeners:
        try:
            listener(sold)
        except ConfigurationError as error:
            raise click.ClickException(str(error)) from None
    if not listeners:
        click.echo(
            f"The bank at {settings.bank_internal_url} does not know these sales: "
            "it refuses to refund them."
        )


def _play_month(work: Work, number: int, settings: Settings) -> int:
    merchant = work.accounts.by_login(DEMO_LOGIN)
    if merchant.mails_payments and settings.smtp_url is not None:
        raise click.ClickException(
            "Turn off the demo merchant's e-mails first: they would be many."
        )
    return play_month(work, merchant, number, settings.location_base)


def _ensure_open(work: Work, new_payment: NewPayment, settings: Settings) -> Payment:
    """The order's payment, a new one if it can no longer be paid."""
    merchant = work.accounts.by_login(DEMO_LOGIN)
    live = work.payments.live_of_order(merchant.id, new_payment.order_id or "")
    if live is not None and lifecycle.is_due(live, work.now):
        service.expire(work, live)
        live = None
    return live or service.create(
        work,
        merchant,
        new_payment,
        ttl=timedelta(seconds=settings.payment_ttl_seconds),
        location_base=settings.location_base,
    )
