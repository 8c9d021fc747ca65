"""`flask provider …`: the operator's commands for accounts at banks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click
from flask import Flask
from flask.cli import AppGroup

from accounts import halves
from core.clock import rfc3339
from core.documents import mask_key
from core.errors import BalcaoError
from core.provider_errors import ProviderAccountNotFound
from db_models import Account, ProviderAccount
from providers import enrolment
from providers.accounts import account_for_new_payment, refuses_new_payments
from providers.certificate_notices import days_left
from repository.database import Work, in_unit_of_work, reading

Result = TypeVar("Result")

provider_cli = AppGroup("provider", help="Merchants' accounts at real banks.")

_account_id = click.argument("account_id", metavar="ID")


def register(app: Flask) -> None:
    """Add the commands to `flask`."""
    app.cli.add_command(provider_cli)


@provider_cli.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_accounts(*, as_json: bool) -> None:
    """List all accounts, the removed ones too; `*` marks those that new payments use."""
    with reading() as work:
        rows = [_row(work, account) for account in work.provider_accounts.all()]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    elif rows:
        click.echo(
            table_text([_HEADINGS, *([_cell(row[name]) for name in _COLUMNS] for row in rows)])
        )
        for login in sorted({row["merchant"] for row in rows if row["new_payments_refused"]}):
            click.echo(f"{login}: new payments are refused until an account is chosen or added.")
    else:
        click.echo("No account yet: `flask provider add` adds one.")


_HEADINGS = (
    *("ID", "MERCHANT", "MODE", "NAME", "PROFILE", "ENV", "KEY", "NEW", "CERT DAYS"),
    *("ANSWERED", "FAULT", "CALLBACKS", "REMOVED"),
)
_COLUMNS = (
    *("id", "merchant", "mode", "name", "profile", "environment", "key", "for_new_payments"),
    *("certificate_days", "answered_at", "fault", "callback_fault", "removed_at"),
)


def _row(work: Work, account: ProviderAccount) -> dict[str, Any]:
    merchant = merchant_of(work, account)
    owner = halves.owner_of(work, merchant)
    ends_at = account.certificate_ends_at
    return {
        "id": account.public_id,
        "merchant": owner.login,
        "mode": mode_of(merchant),
        "name": account.name,
        "profile": account.profile,
        "environment": account.environment,
        "key": mask_key(account.pix_key),
        "for_new_payments": account.id == account_for_new_payment(merchant),
        "new_payments_refused": refuses_new_payments(merchant),
        "certificate_days": None if ends_at is None else days_left(ends_at, work.now),
        "answered_at": _instant(account.answered_at),
        "fault": account.fault,
        "callback_fault": account.callback_fault,
        "removed_at": _instant(account.removed_at),
    }


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "*" if value else ""
    return "" if value is None else str(value)


def table_text(rows: Sequence[Sequence[str]]) -> str:
    """Rows as columns of equal width, two spaces apart."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines)


@provider_cli.command("use")
@_account_id
def use(account_id: str) -> None:
    """Make account ID the merchant's account of its environment.

    In production new payments use the account for real money, and those of the merchant's test
    mode the account for tests.
    """

    def do(work: Work) -> ProviderAccount:
        account = account_with(work, account_id)
        enrolment.choose(work, merchant_of(work, account), account)
        return account

    account = commit(do)
    click.echo(
        f"{account.public_id} is the merchant's account of the environment {account.environment}."
    )


@provider_cli.command("remove")
@_account_id
def remove(account_id: str) -> None:
    """Give account ID no new charges; its open charges and its refunds go on."""

    def do(work: Work) -> bool:
        account = account_with(work, account_id)
        return enrolment.remove(work, merchant_of(work, account), account)

    if not commit(do):
        click.echo("This account was removed already.")
        return
    click.echo("Removed: the account gets no new charges. Open charges and refunds go on.")
    with reading() as work:
        merchant = merchant_of(work, account_with(work, account_id))
    if refuses_new_payments(merchant):
        click.echo(f"New payments of {merchant.login} are refused until it has another account.")


def account_with(work: Work, account_id: str) -> ProviderAccount:
    """The account with this id, of any merchant. Raises ProviderAccountNotFound."""
    account = work.provider_accounts.find_by_public_id(account_id)
    if account is None:
        raise ProviderAccountNotFound("No account has this id: `flask provider list` shows them.")
    return account


def mode_of(merchant: Account) -> str:
    """`live` for a merchant whose money is real; `test` for a test half, and in development."""
    return "live" if halves.is_live(merchant) else "test"


def merchant_of(work: Work, account: ProviderAccount) -> Account:
    """The merchant, or the test half of a merchant, to whom the account belongs."""
    merchant = work.accounts.find(account.merchant_id)
    if merchant is None:
        raise ProviderAccountNotFound
    return merchant


def commit(do: Callable[[Work], Result]) -> Result:
    """Run one unit of work; print an error as one sentence."""
    try:
        return in_unit_of_work(do)
    except BalcaoError as error:
        raise click.ClickException(error.detail) from None
