"""Serve the simulated bank at /bank, in the same process; tell it the demo sales."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask
from sqlalchemy.exc import DBAPIError
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from config import ConfigurationError, Settings, parts_of
from core.runtime.bank_peer import TEST_BANK_ISPB
from core.runtime.local_address import local_url
from payments.demo_month import PaidSale
from server.schema import not_opened

if TYPE_CHECKING:
    from bank.money.history import PastPayment


def mount_bank(app: Flask, settings: Settings) -> Flask:
    """Serve the bank at /bank: everybody's in development, else that of test halves.

    It fetches from this service alone, and pays no code of another host. Raises ConfigurationError
    if the bank cannot start.
    """
    # Imported here, because production needs the bank only with TEST_BANK_URL.
    from bank.app import create_bank_app
    from bank.money.demo import migrate
    from bank.settings import BankSettings, BankSettingsError

    peer = settings.banks[-1]  # in production the one of test halves, see `serves_bank`
    service_url = local_url(settings.host, settings.port)
    host = settings.location_base.split("/")[0]
    clock = parts_of(app).ledger.clock
    try:
        bank = create_bank_app(
            BankSettings(
                database_url=settings.bank_database_url,
                webhook_secret=peer.secrets[0],
                webhook_secret_previous=next(iter(peer.secrets[1:]), None),
                service_url=service_url,
                ispb=TEST_BANK_ISPB if peer.is_test else settings.bank_ispb,
                # Derived, so that neither application accepts the other's cookies.
                secret_key=hmac.digest(settings.secret_key.encode(), b"bank", "sha256").hex(),
                # On a public address strangers must not start bursts, nor set others' mix.
                has_chaos=settings.is_development,
                has_secure_cookies=peer.is_test and settings.public_url.startswith("https:"),
                participant_hosts={
                    host: service_url,
                    urlsplit(settings.public_url).netloc: service_url,
                },
            ),
            clock,
        )
        migrate(settings.bank_database_url, clock)
    except (BankSettingsError, RuntimeError) as error:
        raise ConfigurationError(str(error)) from None
    except (DBAPIError, OSError) as error:
        raise not_opened("The bank's database", error) from None
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/bank": bank.wsgi_app})  # type: ignore[method-assign]
    return bank


def record_at_bank(settings: Settings, sales: Sequence[PaidSale]) -> None:
    """Let the bank know these sales, so that it can refund them. Raises ConfigurationError."""
    from bank.database import Database
    from bank.money.demo import migrate
    from bank.money.history import record_history

    try:
        migrate(settings.bank_database_url)
        database = Database(settings.bank_database_url)
        try:
            record_history(database, [_past_payment(sale) for sale in sales])
        finally:
            database.close()
    except RuntimeError as error:
        raise ConfigurationError(str(error)) from None
    except (DBAPIError, OSError) as error:
        raise not_opened("The bank's database", error) from None


def _past_payment(sale: PaidSale) -> PastPayment:
    from bank.money.history import PastPayment, PastRefund

    receipt, merchant = sale.receipt, sale.merchant
    return PastPayment(
        end_to_end_id=receipt.end_to_end_id,
        txid=receipt.bank_payment_id,
        amount_centavos=receipt.amount_centavos,
        paid_at=receipt.paid_at,
        payee_key=receipt.pix_key or merchant.pix_key or "",
        payee_name=merchant.name or merchant.login,
        payer_name=receipt.payer_name,
        payer_document=receipt.payer_document,
        refunds=tuple(
            PastRefund(
                refund.bank_refund_id,
                refund.return_id or "",
                refund.amount_centavos,
                refund.requested_at,
                refund.settled_at or refund.requested_at,
            )
            for refund in sale.refunds
        ),
    )
