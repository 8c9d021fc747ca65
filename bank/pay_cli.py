"""`flask bank pay` and `statement`, which ask a running bank over HTTP.

They start quickly because nothing here imports Flask or SQLAlchemy.
"""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import urlencode

import click
from click import echo

from bank.terminal import ask_bank, bank_url, printable
from bank.text import brl, moment
from core.clock import parse_rfc3339
from core.errors import InvalidMoney
from core.money import plain, typed_centavos
from core.scenarios import LATE_SECONDS_DEFAULT, LATE_SECONDS_MAX, Scenario

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
    default=bank_url,
    show_default="that of this installation",
    help="The bank's URL.",
)


@click.command("pay")
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


@click.command("statement")
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
