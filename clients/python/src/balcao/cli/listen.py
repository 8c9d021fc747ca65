"""`balcao listen`: streams the merchant's events to a local address."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser, Namespace
from base64 import b64encode
from dataclasses import dataclass
from secrets import token_bytes
from urllib.parse import urlsplit

from balcao.cli.access import shop_of
from balcao.cli.events import TYPE_WIDTH, show_interruption, subject
from balcao.cli.output import (
    BOLD,
    GREEN,
    INTERRUPTED,
    OK,
    RED,
    YELLOW,
    CommandFailed,
    clock_time,
    complain,
    paint,
    printable,
    say,
)
from balcao.events import Position
from balcao.models import Event
from balcao.signatures import signed_headers
from balcao.version import VERSION

FORWARD_SECONDS = 15.0
"""As long as the service waits for a webhook's answer."""
RETRIES_DEFAULT, RETRIES_MAX = 4, 20
PAUSE_SECONDS_MAX = 8.0
_ANSWER_BYTES = 2_048
_RETRIED = frozenset({408, 409, 425, 429})


@dataclass(frozen=True)
class Forwarded:
    """How one attempt ended: the status, or why there was none."""

    status: int | None
    reason: str
    milliseconds: int

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver took the event."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_worth_a_retry(self) -> bool:
        """Whether another attempt may succeed, by the rules of real webhooks."""
        return self.status is None or self.status >= 500 or self.status in _RETRIED


def add_arguments(parser: ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--forward-to", required=True, metavar="URL", help="as http://localhost:4242/hook"
    )
    parser.add_argument("--events", metavar="TYPES", help="only these types, separated by commas")
    parser.add_argument("--after", metavar="ID", help="begin after this event, not with the next")
    parser.add_argument("--secret", metavar="whsec_…", help="sign with it instead of a new one")
    parser.add_argument(
        "--retries",
        type=int,
        choices=range(RETRIES_MAX + 1),
        default=RETRIES_DEFAULT,
        metavar="N",
        help="attempts after the first, before the next event (default: %(default)s)",
    )
    parser.epilog = (
        "Events are forwarded one after the other, in order. After the last retry an event is "
        "shown as failed, and the next one follows."
    )


def run(args: Namespace) -> int:
    """Forward events until Ctrl-C."""
    url = _checked_address(args.forward_to)
    secret = args.secret or "whsec_" + b64encode(token_bytes(32)).decode()
    try:
        signed_headers(secret, "test", 0, b"")
    except ValueError as error:
        raise CommandFailed(str(error)) from None
    shop = shop_of(args)
    wanted_types = set(filter(None, (args.events or "").replace(" ", "").split(",")))
    say(f"Events of {shop.transport.base_url} go to {url}. Ctrl-C ends.")
    say(f"Signing secret: {paint(secret, BOLD)}")
    position = Position()
    stream = shop.events.stream(
        after=args.after,
        position=position,
        give_up_after=None,
        on_connect=lambda: say(f"{clock_time()}  Connected."),
        on_interruption=show_interruption,
    )
    try:
        for event in stream:
            if not wanted_types or event.type in wanted_types:
                deliver(event, url, secret, args.retries)
    except KeyboardInterrupt:
        if position.last_id:
            complain(f"Go on later with --after {printable(position.last_id)}")
        return INTERRUPTED
    return OK


def _checked_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_valid = is_valid and parts.port != 0 and text.isascii() and text.isprintable()
    except ValueError:
        is_valid = False
    if not is_valid or " " in text:
        raise CommandFailed("--forward-to must be an address like http://localhost:4242/hook.")
    return text


def deliver(event: Event, url: str, secret: str, retries: int) -> bool:
    """Post the event, with retries, and show each attempt; return whether it was delivered."""
    for attempt in range(retries + 1):
        result = forward(event, url, secret)
        is_last = attempt == retries or not result.is_worth_a_retry
        pause = min(1.0 * 2**attempt, PAUSE_SECONDS_MAX)
        _show(event, result, None if result.is_delivered or is_last else pause)
        if result.is_delivered or is_last:
            return result.is_delivered
        time.sleep(pause)
    return False


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A webhook's redirect is an answer, and is never followed."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        return None


# Without proxies: the receiver is on this machine, whatever HTTP_PROXY says.
_OPENER = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))


def forward(event: Event, url: str, secret: str) -> Forwarded:
    """Post the event's own bytes once, signed now."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"balcao-listen/{VERSION}",
        **signed_headers(secret, event.id, int(time.time()), event.body),
    }
    request = urllib.request.Request(url, event.body, headers, method="POST")  # noqa: S310 - checked
    start = time.monotonic()
    status: int | None = None
    try:
        with _OPENER.open(request, timeout=FORWARD_SECONDS) as response:
            status, reason = response.status, response.reason
            response.read(_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            status, reason = error.code, error.reason
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or str(error.reason)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
    return Forwarded(status, str(reason), round((time.monotonic() - start) * 1000))


def _show(event: Event, result: Forwarded, pause: float | None) -> None:
    status = "---" if result.status is None else str(result.status)
    colour = GREEN if result.is_delivered else RED if pause is None else YELLOW
    line = f"{clock_time()}  {printable(event.type).ljust(TYPE_WIDTH)}  {subject(event):<34}"
    outcome = f"{status} {printable(result.reason)}".strip()
    line += f"  {paint(outcome, colour)}  {result.milliseconds} ms"
    if pause is not None:
        line += f"  again in {pause:.0f} s"
    elif not result.is_delivered:
        line += f"  {paint('failed', RED)}, event {printable(event.id)}"
    say(line)
