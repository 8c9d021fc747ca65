"""`balcao trigger`: makes an event happen for real, through bank and service."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from balcao.br_code import static_code
from balcao.cli.access import shop_of
from balcao.cli.bank import Paid, add_bank_options, pay
from balcao.cli.output import GREEN, OK, CommandFailed, paint, printable, say
from balcao.client import Balcao
from balcao.models import Payment

EXPIRES_IN_SECONDS = 10
"""The shortest that the service accepts."""
WAIT_SECONDS_MAX = 60.0
_LOOK_EACH_SECONDS = 0.5


def add_arguments(parser: ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("event", metavar="EVENT", choices=sorted(MAKERS), help=", ".join(MAKERS))
    parser.add_argument("--amount", default="10.00", help="reais (default: %(default)s)")
    parser.add_argument("--order-id", metavar="ID", help="of the payment that is created")
    parser.add_argument("--webhook", metavar="ID", help="for ping: the webhook that gets it")
    add_bank_options(parser)
    parser.epilog = (
        "Payments are created and paid at the simulated bank, so development only. "
        "payment.expired takes ten seconds, the shortest lifetime."
    )


def run(args: Namespace) -> int:
    """Make the event happen and say how."""
    MAKERS[args.event](args, shop_of(args))
    say(paint(f"{args.event} has happened.", GREEN))
    return OK


def _create(args: Namespace, shop: Balcao, expires_in: int | None = None) -> Payment:
    try:
        payment = shop.payments.create(
            args.amount,
            order_id=args.order_id,
            description="balcao trigger",
            expires_in=expires_in,
        )
    except ValueError as error:
        raise CommandFailed(str(error)) from None
    say(f"Created payment {payment.id} of {payment.value}: {printable(payment.payment_url)}")
    return payment


def _pay(args: Namespace, shop: Balcao, payment: Payment, scenario: str = "normal") -> Paid:
    result = pay(args, shop, payment.pix_code, scenario=scenario)
    say(f"Paid {result.amount} at the bank: {printable(result.end_to_end_id)}")
    return result


def _wait(is_there: Callable[[], bool], description: str) -> None:
    """Look until it is there. Raises CommandFailed after WAIT_SECONDS_MAX."""
    limit = time.monotonic() + WAIT_SECONDS_MAX
    while not is_there():
        if time.monotonic() > limit:
            raise CommandFailed(f"{description} did not happen within {WAIT_SECONDS_MAX:.0f} s.")
        time.sleep(_LOOK_EACH_SECONDS)


def _wait_for_status(shop: Balcao, payment: Payment, status: str) -> None:
    _wait(lambda: shop.payments.get(payment.id).status == status, f"The status {status}")


def _make_created(args: Namespace, shop: Balcao) -> None:
    _create(args, shop)


def _make_confirmed(args: Namespace, shop: Balcao, scenario: str = "normal") -> Payment:
    payment = _create(args, shop)
    _pay(args, shop, payment, scenario)
    _wait_for_status(shop, payment, "confirmed")
    return payment


def _make_expired(args: Namespace, shop: Balcao) -> None:
    payment = _create(args, shop, EXPIRES_IN_SECONDS)
    say(f"Waiting {EXPIRES_IN_SECONDS} s for its deadline.")
    _wait_for_status(shop, payment, "expired")


def _make_cancelled(args: Namespace, shop: Balcao) -> None:
    payment = _create(args, shop)
    shop.payments.cancel(payment.id)


def _refund(shop: Balcao, payment: Payment, expected_status: str) -> None:
    refund = shop.payments.refund(payment.id, description="balcao trigger")
    say(f"Requested refund {printable(refund.id)} of {refund.value}.")
    _wait(lambda: shop.payments.refunds(payment.id)[-1].status != "processing", "The refund")
    last_refund = shop.payments.refunds(payment.id)[-1]
    say(f"The refund is {printable(last_refund.status)}. {printable(last_refund.reason)}".rstrip())
    if last_refund.status != expected_status:
        raise CommandFailed(f"The refund should be {expected_status}.")


def _make_refunded(args: Namespace, shop: Balcao) -> None:
    _refund(shop, _make_confirmed(args, shop), "done")


def _make_refund_failed(args: Namespace, shop: Balcao) -> None:
    _refund(shop, _make_confirmed(args, shop, "refund-refused"), "failed")


def _make_receipt_refused(args: Namespace, shop: Balcao) -> None:
    result = _pay(args, shop, _create(args, shop), "pay-less")
    say(f"One centavo less than the payment asks for. {printable(result.answer)}")
    if result.status != "returned":
        raise CommandFailed(f"The money was not refused: {printable(result.status)}.")


def _make_receipt_received(args: Namespace, shop: Balcao) -> None:
    if not shop.transport.has_credentials:
        raise CommandFailed("receipt.received needs the merchant's Pix key: run `balcao login`.")
    account = shop.transport.request("GET", "/users/me/").json()
    key = account.get("pix_key") if isinstance(account, dict) else None
    if not key:
        raise CommandFailed("The merchant has no Pix key: enter one in the portal's settings.")
    code = static_code(str(key), str(account.get("name")), str(account.get("city")))
    say(f"Static code of {printable(account.get('name'))}: {printable(code)}")
    result = pay(args, shop, code, value=args.amount)
    say(f"Paid {result.amount} at the bank: {printable(result.end_to_end_id)}")


def _make_ping(args: Namespace, shop: Balcao) -> None:
    identifier = args.webhook
    if identifier is None:
        webhook = next((one for one in shop.webhooks.list() if one.enabled), None)
        if webhook is None:
            raise CommandFailed("A ping goes to a webhook, and there is none: create one first.")
        identifier = webhook.id
    shop.webhooks.ping(identifier)
    say(f"Sent a ping to webhook {printable(identifier)}.")


MAKERS: dict[str, Callable[[Namespace, Balcao], object]] = {
    "payment.created": _make_created,
    "payment.confirmed": _make_confirmed,
    "payment.expired": _make_expired,
    "payment.cancelled": _make_cancelled,
    "payment.refunded": _make_refunded,
    "refund.failed": _make_refund_failed,
    "receipt.refused": _make_receipt_refused,
    "receipt.received": _make_receipt_received,
    "ping": _make_ping,
}
"""How each event is made."""
