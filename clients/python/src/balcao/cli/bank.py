"""The simulated bank, which exists in development only."""

from __future__ import annotations

import os
import re
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from balcao.cli.output import CommandFailed
from balcao.client import Balcao
from balcao.errors import ApiError, NotFound
from balcao.payments import new_idempotency_key, reais
from balcao.transport import RetryPolicy, Transport

DEMO_PIN = "1234"
_PAYMENT_ID = re.compile(r"[0-9a-f]{32}")
_PAYMENT_URL = re.compile(r"https?://[^/]+(?:/.*)?/payments/pix/([0-9a-f]{32})(?:[/?#].*)?")


@dataclass(frozen=True)
class Paid:
    """A payment at the bank, and the service's answer to it if it has come."""

    end_to_end_id: str
    status: str
    """`confirmed`, `sent`, `settled` (a static code) or `returned`."""
    amount: str
    payee: str
    answer: str | None


def add_bank_options(parser: ArgumentParser) -> None:
    """The options of commands that pay."""
    parser.add_argument(
        "--bank",
        metavar="URL",
        default=os.environ.get("BALCAO_BANK_URL"),
        help="the simulated bank (BALCAO_BANK_URL; by default URL/bank)",
    )
    parser.add_argument("--payer", help="the bank's client who pays (default: the first one)")
    parser.add_argument("--pin", default=DEMO_PIN, help="the payer's PIN (default: %(default)s)")


def code_of(shop: Balcao, text: str) -> str:
    """The BR Code of a payment's id or address; any other text is the code itself."""
    text = text.strip()
    address = _PAYMENT_URL.fullmatch(text)
    if address or _PAYMENT_ID.fullmatch(text):
        return shop.payments.get(address[1] if address else text).pix_code
    return text


def pay(
    args: Namespace,
    shop: Balcao,
    code: str,
    *,
    value: str | None = None,
    scenario: str | None = "normal",
    late_seconds: int | None = None,
) -> Paid:
    """Pay a code as one of the bank's clients. Raises CommandFailed and the client's errors."""
    url = args.bank or f"{shop.transport.base_url}/bank"
    try:
        bank = Transport(url, retries=RetryPolicy(attempts=3, base=0.3))
        body: dict[str, Any] = {"code": code, "pin": args.pin}
        if value is not None:
            body["value"] = reais(value)
    except ValueError as error:
        raise CommandFailed(str(error)) from None
    options = {"payer": args.payer, "scenario": scenario, "late_seconds": late_seconds}
    body |= {name: option for name, option in options.items() if option is not None}
    headers = {"Idempotency-Key": new_idempotency_key(), "Accept-Language": "en"}
    try:
        answer = bank.request("POST", "/api/pay", body=body, headers=headers).json()
    except NotFound as error:
        if error.code in ("not-found", "http-404"):
            raise CommandFailed(
                f"There is no simulated bank at {url}: it exists in development only. "
                "Name another with --bank."
            ) from None
        raise CommandFailed(f"The bank refused: {error}") from None
    except ApiError as error:
        raise CommandFailed(f"The bank refused: {error}") from None
    return _read(answer)


def _read(answer: Any) -> Paid:
    try:
        reply = answer["answer"] or {}
        return Paid(
            str(answer["end_to_end_id"]),
            str(answer["status"]),
            f"{Decimal(answer['amount_centavos']) / 100:.2f}",
            f"{answer['payee']['name']} ({answer['payee']['key']})",
            f"{reply['detail']} ({reply['status']})" if reply.get("detail") else None,
        )
    except (KeyError, TypeError, ValueError, InvalidOperation):
        raise CommandFailed("The answer is not the simulated bank's: check --bank.") from None
