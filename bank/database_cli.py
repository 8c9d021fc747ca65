"""`flask bank unlock` and `audit`, which work on the bank's database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from click import echo
from sqlalchemy.exc import ArgumentError, DBAPIError

from bank.database import Database
from bank.errors import UnknownPayer
from bank.money.audit import audit
from bank.money.payers import payer_by_handle, unlock
from bank.settings import BankSettingsError, settings_from
from bank.terminal import fail, printable, variables
from bank.text import brl

NO_BREAK = "\N{NO-BREAK SPACE}"

_database_option = click.option(
    "--database",
    envvar="BANK_DATABASE_URL",
    help="The URL of the bank's database; by default that of this installation.",
)


@click.command("unlock")
@click.argument("handle")
@_database_option
def unlock_command(handle: str, database: str | None) -> None:
    """Unlock the card of HANDLE after five wrong PINs."""
    with _open_database(database) as opened_database:
        try:
            with opened_database.writing() as session:
                was_locked = unlock(session, payer_by_handle(session, handle))
        except UnknownPayer as error:
            fail(error.detail)
    echo("Desbloqueado." if was_locked else "Não estava bloqueado.")


@click.command("audit")
@_database_option
def audit_command(database: str | None) -> None:
    """Check the whole ledger: transfers, balances, notices, returns, refunds.

    Prints each fault; the exit status is 1 if there is any. Nothing is changed.
    """
    with _open_database(database) as opened_database:
        result = audit(opened_database)
    for name, centavos in sorted(result.balances_centavos.items()):
        echo(f"{printable(name):<60} {brl(centavos):>20}")
    echo(
        f"{result.accounts} contas, {result.transfers} transferências, {result.notices} avisos, "
        f"{result.refunds} devoluções; a soma é {brl(result.total_centavos)}."
    )
    for fault in result.faults:
        echo(f"ERRADO  {printable(fault.replace(NO_BREAK, ' '))}")
    if result.faults:
        raise click.exceptions.Exit(1)
    echo("Tudo confere.")


@contextmanager
def _open_database(url: str | None) -> Iterator[Database]:
    """Open the bank's database; one that cannot be read ends the command with a sentence."""
    try:
        database = Database(url or settings_from(variables()).database_url)
        try:
            yield database
        finally:
            database.close()
    except BankSettingsError as error:
        fail(str(error))
    except (ArgumentError, DBAPIError) as error:
        fail(f"O banco de dados não pôde ser lido ({type(error).__name__}).")
