"""Serve the simulated bank at /bank, in the same process."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from flask import Flask
from sqlalchemy.exc import DBAPIError
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from config import ConfigurationError, Settings
from core.runtime.local_address import local_url
from server.schema import not_opened


def mount_bank(app: Flask, settings: Settings) -> Flask:
    """Serve the bank at /bank. Raises ConfigurationError if the bank cannot start."""
    # Imported here, because production does not need the bank.
    from bank.app import create_bank_app
    from bank.money.demo import migrate
    from bank.settings import BankSettings, BankSettingsError

    service_url = local_url(settings.host, settings.port)
    host = settings.location_base.split("/")[0]
    try:
        bank = create_bank_app(
            BankSettings(
                database_url=settings.bank_database_url,
                webhook_secret=settings.bank_webhook_secret,
                webhook_secret_previous=settings.bank_webhook_secret_previous,
                service_url=service_url,
                # Derived, so that neither application accepts the other's cookies.
                secret_key=hmac.digest(settings.secret_key.encode(), b"bank", "sha256").hex(),
                participant_hosts={
                    host: service_url,
                    urlsplit(settings.public_url).netloc: service_url,
                },
            )
        )
        migrate(settings.bank_database_url)
    except (BankSettingsError, RuntimeError) as error:
        raise ConfigurationError(str(error)) from None
    except (DBAPIError, OSError) as error:
        raise not_opened("The bank's database", error) from None
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/bank": bank.wsgi_app})  # type: ignore[method-assign]
    return bank
