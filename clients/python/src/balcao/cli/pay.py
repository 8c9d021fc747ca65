"""`balcao pay`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from balcao.cli.access import shop_of
from balcao.cli.bank import add_bank_options, code_of, pay
from balcao.cli.output import FAILED, GREEN, OK, RED, YELLOW, paint, printable, say

_STATES = {
    "confirmed": ("confirmed by the shop", GREEN),
    "sent": ("sent; the shop has not answered yet", YELLOW),
    "settled": ("sent, for a code without a charge", GREEN),
    "returned": ("returned: the shop refused the money", RED),
}


def add_arguments(parser: ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("code", metavar="CODE", help="a Pix code, or a payment's id or address")
    parser.add_argument("--value", help="reais, as 12.50, for a code without an amount")
    parser.add_argument("--scenario", help="the fault to inject, such as double or pay-less")
    parser.add_argument("--late-seconds", type=int, help="the delay of the scenario late")
    add_bank_options(parser)


def run(args: Namespace) -> int:
    """Pay a code; status 1 if nothing was paid or the money came back."""
    shop = shop_of(args)
    result = pay(
        args,
        shop,
        code_of(shop, args.code),
        value=args.value,
        scenario=args.scenario,
        late_seconds=args.late_seconds,
    )
    state, colour = _STATES.get(result.status, (result.status, YELLOW))
    say(f"Payee    {printable(result.payee)}")
    say(f"Value    {result.amount}")
    say(f"Id       {printable(result.end_to_end_id)}")
    say(f"Status   {paint(printable(state), colour)}")
    if result.answer:
        say(f"Answer   {printable(result.answer)}")
    return FAILED if result.status == "returned" else OK
