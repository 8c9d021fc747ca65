"""What the app gets from this folder: the payer's door, and a wallet for whoever signs up."""

from __future__ import annotations

from typing import Any

import structlog
from flask_openapi import OpenAPI

from blueprints.payer import bank_wallet, routes
from config import Settings
from core.errors import BalcaoError
from db_models import Account
from db_models.account import PAYER

log = structlog.get_logger()


def init_payer(app: OpenAPI, settings: Settings) -> None:
    """Attach the door; in development a payer's sign-up opens a wallet at the simulated bank."""
    app.register_api(routes.bp)
    if settings.is_development:
        app.extensions.setdefault("balcao_signed_up", []).append(wallet_for)


def wallet_for(account: Account, pin: str | None) -> dict[str, Any]:
    """What a payer's sign-up is answered besides the account: card and PIN, told this once.

    Called after the commit. Nothing where the bank is away: the wallet is opened at the first
    visit of /pay then, or by `POST /api/wallet`.
    """
    if account.role != PAYER:
        return {}
    try:
        opened = bank_wallet.open_wallet(account, pin)
    except BalcaoError as error:
        log.info("wallet.postponed", account=account.public_id, code=error.code)
        return {"card": None, "pin": None}
    return {"card": opened.card, "pin": opened.pin}
