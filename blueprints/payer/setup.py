"""Put the payer's routes on the app, and open a wallet for each new payer."""

from __future__ import annotations

from typing import Any

import structlog
from flask_openapi import OpenAPI

from blueprints.payer import bank_wallet, routes
from core.errors import BalcaoError
from db_models import Account
from db_models.account import PAYER

log = structlog.get_logger()


def init_payer(app: OpenAPI) -> None:
    """Serve `/pay/<code>` and the wallet's API."""
    app.register_api(routes.bp)


def open_wallet_at_sign_up(account: Account, pin: str | None) -> dict[str, Any]:
    """Open a payer's wallet; return its card and PIN, which the answer to the sign-up shows once.

    A sign-up listener: called after the commit, in development. Both are None if the bank does
    not answer; the first visit of /pay, or `POST /api/wallet`, opens the wallet then.
    """
    if account.role != PAYER:
        return {}
    try:
        new_wallet = bank_wallet.open_wallet(account, pin)
    except BalcaoError as error:
        log.info("wallet.postponed", account=account.public_id, code=error.code)
        return {"card": None, "pin": None}
    return {"card": new_wallet.card, "pin": new_wallet.pin}
