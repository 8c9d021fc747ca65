"""The startup banner: where the service's pages are, and how to create the first account."""

from __future__ import annotations

import sys
from contextlib import suppress

import click
from flask import Flask

from config import Settings
from core.errors import BalcaoError
from core.runtime.local_address import local_url
from repository.database import reading

CREATE_ADMIN = "flask --app app accounts create root --role admin"
CREATE_MERCHANT = "flask --app app accounts create LOGIN --role merchant"


def print_banner(settings: Settings) -> None:
    """Print the addresses of this profile's pages, with the demo accounts in development."""
    if settings.role == "worker":
        address = f"{local_url(settings.host, settings.port)}/readyz"
        _print(
            f"Balcão runs its jobs ({settings.async_mode}, {settings.app_env}). Ctrl-C stops them.",
            f"  {'Probe':<10} {address}",
        )
        return
    lines: list[tuple[str, str]] = [("API docs", f"{settings.public_url}/docs")]
    if settings.is_development:
        lines = [
            ("Demo shop", f"{settings.public_url}/"),
            ("Portal", f"{settings.public_url}/portal (demo, {settings.demo_password})"),
            ("Payer", f"{settings.public_url}/pay (bia, {settings.demo_password})"),
            ("Admin", f"{settings.public_url}/admin (after: {CREATE_ADMIN})"),
            ("API Pix", settings.api_pix_url),
            ("  client", f"{settings.demo_client_id}, {settings.demo_client_secret}"),
            ("Bank app", f"{settings.bank_url}/"),
            *lines,
        ]
    test_bank = settings.bank_to_ask(is_test_half=True)
    if test_bank is not None and test_bank.is_test:
        lines.append(("Test bank", f"{test_bank.url}/"))
    if settings.tls_port is not None:
        lines.append(("TLS files", str(settings.tls_folder)))
    if settings.clock_file is not None:
        lines.append(("Clock", f"ahead by the seconds in {settings.clock_file}"))
    _print(
        f"Balcão is open ({settings.async_mode}, {settings.app_env}). Ctrl-C closes it.",
        *(f"  {name:<10} {url}" for name, url in lines),
    )


def print_first_account_hint(app: Flask) -> None:
    """Print how to create the first account when there is none."""
    try:
        with app.app_context(), reading() as work:
            has_accounts = work.accounts.any_exists()
    except BalcaoError:  # the database has just gone away; the hint can be missed
        return
    if not has_accounts:
        _print(f"  No account yet: {CREATE_MERCHANT}")


def _print(*lines: str) -> None:
    """Write to standard output; a full disk or a closed pipe does not stop the service."""
    with suppress(OSError):
        for line in lines:
            click.echo(line)
        sys.stdout.flush()
