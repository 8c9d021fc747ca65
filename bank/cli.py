"""`flask bank …`: commands that pay over HTTP, and commands on the bank's database."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import click
from click import echo
from sqlalchemy.exc import ArgumentError, DBAPIError

from bank.chaos.scenarios import LATE_SECONDS_DEFAULT, LATE_SECONDS_MAX, Scenario
from bank.database import Database
from bank.errors import UnknownPayer
from bank.money.audit import audit
from bank.money.payers import payer_by_handle, unlock
from bank.terminal import ask_bank, bank_url, fail, installed, printable
from bank.text import brl, moment
from bank.workbench.chaos_cli import COMMANDS
from core.clock import parse_rfc3339
from core.errors import InvalidMoney
from core.money import plain, typed_centavos

NO_BREAK = "\N{NO-BREAK SPACE}"

_STATES = {
    "confirmed": "confirmado pela loja",
    "sent": "enviado, a loja ainda não respondeu",
    "returned": "devolvido",
    "settled": "enviado, por um código sem cobrança",
}
_KINDS = {
    "payment": "Pix enviado",
    "return": "Pix devolvido",
    "refund": "Devolução da loja",
    "opening": "Saldo inicial",
}

_url_option = click.option(
    "--url",
    envvar="BANK_URL",
    default=bank_url,
    show_default="that of this installation",
    help="The bank's URL.",
)


@click.group("bank")
def bank_cli() -> None:
    """Pay codes with the simulated bank."""


for _command in COMMANDS:
    bank_cli.add_command(_command)


@bank_cli.command("pay")
@click.argument("code")
@click.option("--payer", help="The client who pays, by handle; by default the first client.")
@click.option("--pin", prompt="Senha", hide_input=True, help="Prompted for if missing.")
@click.option("--value", help="The amount in reais, 12,50 or 12.50, for a code without one.")
@click.option(
    "--scenario",
    type=click.Choice([scenario.value for scenario in Scenario]),
    default=Scenario.NORMAL.value,
    show_default=True,
    help="The fault to inject.",
)
@click.option(
    "--late-seconds",
    type=click.IntRange(1, LATE_SECONDS_MAX),
    default=LATE_SECONDS_DEFAULT,
    show_default=True,
    help="The delay of the scenario late.",
)
@_url_option
def pay_command(
    code: str,
    payer: str | None,
    pin: str,
    value: str | None,
    scenario: str,
    late_seconds: int,
    url: str,
) -> None:
    """Pay CODE, a BR Code, and print the service's answer.

    The exit status is 1 if nothing was paid, or if the money came back.
    """
    order = {"code": code, "pin": pin, "scenario": scenario, "late_seconds": late_seconds}
    if payer is not None:
        order["payer"] = payer
    if value is not None:
        order["value"] = _typed_reais(value)
    payment = ask_bank("POST", f"{url.rstrip('/')}/api/pay", order)
    answer = payment.get("answer") or {}
    echo(f"Para:      {printable(payment['payee']['name'])} ({printable(payment['payee']['key'])})")
    echo(f"Valor:     {brl(payment['amount_centavos'])}")
    echo(f"Id:        {printable(payment['end_to_end_id'])}")
    echo(f"Situação:  {_STATES.get(payment['status'], printable(payment['status']))}")
    if answer.get("detail"):
        echo(f"Resposta:  {printable(answer['detail'])} ({answer.get('status') or answer['code']})")
    if payment["status"] == "returned":
        raise click.exceptions.Exit(1)


@bank_cli.command("statement")
@click.option("--payer", default="bia", show_default=True, help="The client's handle or card.")
@click.option("--pin", prompt="Senha", hide_input=True, help="Prompted for if missing.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@_url_option
def statement_command(payer: str, pin: str, limit: int, url: str) -> None:
    """Print a client's balance and latest transfers, newest first."""
    query = urlencode({"limit": limit})
    credentials = b64encode(f"{payer}:{pin}".encode()).decode()
    statement = ask_bank(
        "GET",
        f"{url.rstrip('/')}/api/statement?{query}",
        headers={"Authorization": f"Basic {credentials}"},
    )
    echo(f"{printable(statement['payer']['name'])}: saldo {brl(statement['balance_centavos'])}")
    for entry in statement["data"]:
        made_at = moment(parse_rfc3339(entry["made_at"]))
        state = _STATES.get(entry["status"] or "", "")
        name = printable(entry["payee_name"] or "")
        line = f"{made_at}  {brl(entry['amount_centavos']):>14}  {_KINDS[entry['kind']]} {name}"
        echo(f"{line} {f'({state})' if state else ''}".rstrip())


def _typed_reais(text: str) -> str:
    """The amount as the bank's API reads it."""
    try:
        return plain(typed_centavos(text))
    except InvalidMoney as error:
        raise click.BadParameter(f"It {error.detail}.", param_hint="'--value'") from None


_database_option = click.option(
    "--database",
    envvar="BANK_DATABASE_URL",
    help="The URL of the bank's database; by default that of this installation.",
)


@bank_cli.command("unlock")
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


@bank_cli.command("audit")
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
    url = url or installed("BANK_DATABASE_URL")
    if not url:
        fail("Diga qual é o banco de dados: --database ou BANK_DATABASE_URL.")
    try:
        database = Database(url)
        try:
            yield database
        finally:
            database.close()
    except (ArgumentError, DBAPIError) as error:
        fail(f"O banco de dados não pôde ser lido ({type(error).__name__}).")
