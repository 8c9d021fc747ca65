"""`flask bank …`: paying from a terminal, over HTTP to a bank that runs somewhere."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from urllib.parse import urlencode

import click
from click import ClickException, echo
from flask.cli import ScriptInfo
from sqlalchemy.exc import ArgumentError, DBAPIError

from bank.chaos.scenarios import LATE_SECONDS_DEFAULT, LATE_SECONDS_MAX, Scenario
from bank.codes.http import AnswerTooLarge, HttpAnswer, HttpClient, NoAnswer
from bank.database import Database
from bank.errors import UnknownPayer
from bank.money.audit import audit
from bank.money.payers import payer_named, unlock
from bank.text import brl, clean, moment
from bank.workbench.chaos_cli import COMMANDS
from core.clock import parse_rfc3339
from core.errors import InvalidMoney
from core.money import plain, typed_centavos

NO_BREAK = "\N{NO-BREAK SPACE}"
DEFAULT_URL = "http://127.0.0.1:5000/bank"

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
    default=DEFAULT_URL,
    show_default=True,
    help="Where the bank answers.",
)


@click.group("bank")
def bank_cli() -> None:
    """Pay codes with the simulated bank."""


for _command in COMMANDS:
    bank_cli.add_command(_command)


@bank_cli.command("pay")
@click.argument("code")
@click.option("--payer", help="The paying client's handle, as bia; the first one by default.")
@click.option("--pin", prompt="Senha", hide_input=True, help="Asked for when it is not given.")
@click.option("--value", help="Reais to pay, as 12,50 or 12.50, for a code that has no amount.")
@click.option(
    "--scenario",
    type=click.Choice([scenario.value for scenario in Scenario]),
    default=Scenario.NORMAL.value,
    show_default=True,
    help="How the payment is to go.",
)
@click.option(
    "--late-seconds",
    type=click.IntRange(1, LATE_SECONDS_MAX),
    default=LATE_SECONDS_DEFAULT,
    show_default=True,
    help="How long the scenario late holds the notice back.",
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
    """Pay CODE, a BR Code, and say what the service answered.

    The exit status is 1 when nothing was paid, or when the money came back.
    """
    order = {"code": code, "pin": pin, "scenario": scenario, "late_seconds": late_seconds}
    if payer is not None:
        order["payer"] = payer
    if value is not None:
        order["value"] = _typed_reais(value)
    paid = _answered(_post(f"{url.rstrip('/')}/api/pay", order))
    answer = paid.get("answer") or {}
    echo(f"Para:      {_shown(paid['payee']['name'])} ({_shown(paid['payee']['key'])})")
    echo(f"Valor:     {brl(paid['amount_centavos'])}")
    echo(f"Id:        {_shown(paid['end_to_end_id'])}")
    echo(f"Situação:  {_STATES.get(paid['status'], _shown(paid['status']))}")
    if answer.get("detail"):
        echo(f"Resposta:  {_shown(answer['detail'])} ({answer.get('status') or answer['code']})")
    if paid["status"] == "returned":
        raise click.exceptions.Exit(1)


@bank_cli.command("statement")
@click.option("--payer", default="bia", show_default=True, help="The client's handle or card.")
@click.option("--pin", prompt="Senha", hide_input=True, help="Asked for when it is not given.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@_url_option
def statement_command(payer: str, pin: str, limit: int, url: str) -> None:
    """Print a client's balance and latest transfers, newest first."""
    query = urlencode({"limit": limit})
    told = _answered(_get(f"{url.rstrip('/')}/api/statement?{query}", payer, pin))
    echo(f"{_shown(told['payer']['name'])}: saldo {brl(told['balance_centavos'])}")
    for entry in told["data"]:
        made_at = moment(parse_rfc3339(entry["made_at"]))
        state = _STATES.get(entry["status"] or "", "")
        name = _shown(entry["payee_name"] or "")
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
    help="The bank's database; by default the one this installation's bank uses.",
)


@bank_cli.command("unlock")
@click.argument("handle")
@_database_option
def unlock_command(handle: str, database: str | None) -> None:
    """Unlock the card of HANDLE after five wrong PINs."""
    with _opened(database) as opened:
        try:
            with opened.writing() as session:
                was_locked = unlock(session, payer_named(session, handle))
        except UnknownPayer as error:
            _fail(error.detail)
    echo("Desbloqueado." if was_locked else "Não estava bloqueado.")


@bank_cli.command("audit")
@_database_option
def audit_command(database: str | None) -> None:
    """Add the whole ledger up: transfers, balances, notices, returns, refunds.

    The exit status is 1, with a list, when anything does not add up. Nothing is changed.
    """
    with _opened(database) as opened:
        found = audit(opened)
    for name, centavos in sorted(found.sums_centavos.items()):
        echo(f"{_shown(name):<60} {brl(centavos):>20}")
    echo(
        f"{found.accounts} contas, {found.transfers} transferências, {found.notices} avisos, "
        f"{found.refunds} devoluções; a soma é {brl(found.total_centavos)}."
    )
    for fault in found.faults:
        echo(f"ERRADO  {_shown(fault.replace(NO_BREAK, ' '))}")
    if found.faults:
        raise click.exceptions.Exit(1)
    echo("Tudo confere.")


@contextmanager
def _opened(database: str | None) -> Iterator[Database]:
    """The bank's database; ends with a sentence where it cannot be read."""
    url = database or _installed_database()
    if not url:
        _fail("Diga qual é o banco de dados: --database ou BANK_DATABASE_URL.")
    try:
        opened = Database(url)
        try:
            yield opened
        finally:
            opened.close()
    except (ArgumentError, DBAPIError) as error:
        _fail(f"O banco de dados não pôde ser lido ({type(error).__name__}).")


def _installed_database() -> str | None:
    """What the application that offers these commands says, where there is one."""
    script = click.get_current_context().find_object(ScriptInfo)
    url = script.load_app().config.get("BANK_DATABASE_URL") if script else None
    return str(url) if url else None


def _post(url: str, members: dict[str, Any]) -> HttpAnswer:
    return _asked(lambda http_client: http_client.post(url, json.dumps(members).encode(), {}), url)


def _get(url: str, payer: str, pin: str) -> HttpAnswer:
    basic = b64encode(f"{payer}:{pin}".encode()).decode()
    who = {"Authorization": f"Basic {basic}"}
    return _asked(lambda http_client: http_client.get(url, "application/json", who), url)


def _asked(ask: Any, url: str) -> HttpAnswer:
    http_client = HttpClient()
    try:
        answer: HttpAnswer = ask(http_client)
    except NoAnswer as failure:
        _fail(f"O banco não respondeu em {url} ({failure}). Ele está no ar?")
    except AnswerTooLarge:
        _fail(f"O que responde em {url} não é o banco.")
    finally:
        http_client.close()
    return answer


def _answered(answer: HttpAnswer) -> dict[str, Any]:
    """The answer's members; a refusal ends the command with the bank's own sentence."""
    try:
        members = json.loads(answer.body)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        _fail(f"O banco respondeu {answer.status}, mas não em JSON. O endereço está certo?")
    if answer.status != 200:
        _fail(f"{_shown(members.get('title'))}: {_shown(members.get('detail'))}")
    return members


def _shown(text: object) -> str:
    # A name from outside must not steer the terminal.
    return clean(str(text), 300)


def _fail(sentence: str) -> NoReturn:
    raise ClickException(sentence)
