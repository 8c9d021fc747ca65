"""`balcao events`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import deque
from collections.abc import Iterator

from balcao.cli.access import shop_of
from balcao.cli.output import (
    BOLD,
    DIM,
    OK,
    YELLOW,
    complain,
    minute,
    paint,
    printable,
    say,
    say_json,
)
from balcao.client import Balcao
from balcao.errors import BalcaoError
from balcao.models import Event

PAGES_MAX = 100
"""Of 100 events each, that one command reads."""
TYPE_WIDTH = 18


def add_arguments(parser: ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--follow", "-f", action="store_true", help="stay, and show new events")
    parser.add_argument("--after", metavar="ID", help="begin after this event")
    parser.add_argument("--type", help="only events of this type, such as payment.confirmed")
    parser.add_argument("--limit", type=int, default=20, help="the newest so many (default: 20)")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def run(args: Namespace) -> int:
    """List events, or follow them until Ctrl-C."""
    shop = shop_of(args)
    if args.follow:
        for event in shop.events.stream(
            after=args.after,
            type=args.type,
            give_up_after=None,
            on_interruption=show_interruption,
        ):
            _show(event, args.json)
        return OK
    newest: deque[Event] = deque(_events(args, shop), maxlen=max(1, args.limit))
    for event in newest:
        _show(event, args.json)
    if not newest and not args.json:
        say("No events.")
    return OK


def _events(args: Namespace, shop: Balcao) -> Iterator[Event]:
    after = args.after
    for _ in range(PAGES_MAX):
        page = shop.events.page(after=after, type=args.type, limit=100)
        yield from page.data
        if page.next is None:
            return
        after = page.next
    complain(f"There are more events: continue with --after {printable(after)}.")


def show_interruption(error: BalcaoError, pause: float) -> None:
    """Say that the stream is interrupted, on standard error."""
    complain(paint(f"Interrupted: {printable(error)} Again in {pause:.1f} s.", YELLOW))


def subject(event: Event) -> str:
    """The id of the payment, refund or receipt that the event is about."""
    for name in ("id", "end_to_end_id"):
        if isinstance(event.data.get(name), str):
            return printable(event.data[name])
    return ""


def _show(event: Event, as_json: bool) -> None:
    if as_json:
        say_json(event.raw)
        return
    value = event.data.get("value")
    amount = f"{value:>12.2f}" if value is not None and not isinstance(value, (str, list)) else ""
    kind = paint(printable(event.type).ljust(TYPE_WIDTH), BOLD)
    line = f"{minute(event.timestamp)}  {kind}{amount:>12}  {subject(event):<34}"
    say(f"{line}  {paint(printable(event.id), DIM)}")
