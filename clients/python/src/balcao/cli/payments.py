"""`balcao payments`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from itertools import islice

from balcao.cli.access import shop_of
from balcao.cli.output import OK, brl, minute, printable, say, say_json, say_table

STATUSES = ("pending", "confirmed", "expired", "cancelled")
LIMIT_MAX = 10_000


def add_arguments(parser: ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--status", choices=STATUSES)
    parser.add_argument("--order-id", metavar="ID")
    parser.add_argument("-q", metavar="TEXT", help="search descriptions, payers, amounts and ids")
    parser.add_argument("--limit", type=limit, default=20, help="at most so many (default: 20)")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def limit(text: str) -> int:
    """A number of entries, 1 to 10000. Raises ValueError."""
    number = int(text)
    if not 1 <= number <= LIMIT_MAX:
        raise ValueError
    return number


def run(args: Namespace) -> int:
    """List payments."""
    found_payments = shop_of(args).payments.list(
        status=args.status, order_id=args.order_id, q=args.q, limit=min(args.limit, 100)
    )
    payments = list(islice(found_payments, args.limit))
    if args.json:
        for payment in payments:
            say_json(payment.raw)
        return OK
    if not payments:
        say("No payments.")
        return OK
    rows = [
        (
            minute(payment.created_at),
            payment.status,
            brl(payment.value),
            payment.id,
            printable(payment.order_id),
            printable(payment.description)[:40],
        )
        for payment in payments
    ]
    say_table(("CREATED", "STATUS", "VALUE", "ID", "ORDER", "DESCRIPTION"), rows, right=(2,))
    return OK
