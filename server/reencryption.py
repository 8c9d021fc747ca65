"""`flask secrets reencrypt`: what is encrypted in the database, under the present SECRET_KEY."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup

from accounts import audit
from config import current_parts
from core.errors import BalcaoError, ConcurrentUpdate
from core.provider_errors import ProviderSecretsUnreadable
from core.webhook_errors import SecretUnreadable
from db_models import AuditAction, WebhookEndpoint
from payments.location import key_ring
from providers.accounts import vault
from providers.commands import provider_cli
from repository.database import Work, in_unit_of_work
from repository.webhook_endpoints import WebhookEndpoints
from webhooks.secrets import SecretBox

BATCH = 100
"""Rows of one transaction."""

secrets_cli = AppGroup("secrets", help="What is encrypted in the database under SECRET_KEY.")


@dataclass
class Reencryption:
    """How many rows were encrypted anew, or were current already, and which are unreadable."""

    renewed: int = 0
    current: int = 0
    unreadable: list[str] = field(default_factory=list)
    """Their public ids."""

    def count(self, *, is_renewed: bool) -> None:
        """Count one row."""
        if is_renewed:
            self.renewed += 1
        else:
            self.current += 1

    def add(self, other: Reencryption) -> None:
        """Add the counts of another batch."""
        self.renewed += other.renewed
        self.current += other.current
        self.unreadable += other.unreadable


ReencryptBatch = Callable[[Work, int], tuple[int | None, Reencryption]]
"""Encrypts the rows after a row id anew; returns the last row id, None after the last batch.

Raises ConcurrentUpdate if another transaction has changed one of them meanwhile.
"""


def reencrypt_all(batch: ReencryptBatch) -> Reencryption:
    """Run all batches, each in a transaction of its own; safe to repeat while processes run."""
    total = Reencryption()
    last: int | None = 0
    while last is not None:
        last, counts = in_unit_of_work(partial(_run, batch=batch, after=last))
        total.add(counts)
    return total


def _run(work: Work, batch: ReencryptBatch, after: int) -> tuple[int | None, Reencryption]:
    return batch(work, after)


def reencrypt_accounts(work: Work, after: int) -> tuple[int | None, Reencryption]:
    """Credentials of accounts at banks; processes that run read a changed account anew."""
    counts = Reencryption()
    rows = work.provider_accounts.after(after, BATCH)
    for account in rows:
        try:
            sealed = vault().renewed(account.sealed)
        except ProviderSecretsUnreadable:
            counts.unreadable.append(account.public_id)
            continue
        counts.count(is_renewed=sealed is not None)
        if sealed is not None and not work.provider_accounts.change(
            account.id, {"sealed": sealed}, version=account.version
        ):
            raise ConcurrentUpdate
    return _last(rows), counts


def reencrypt_webhooks(work: Work, after: int) -> tuple[int | None, Reencryption]:
    """Signing secrets of webhooks, and those that sign beside them after a rotation."""
    counts = Reencryption()
    endpoints = WebhookEndpoints(work.session)
    rows = endpoints.after(after, BATCH)
    box: SecretBox = current_parts().webhooks.secrets
    for endpoint in rows:
        if not endpoint.secret:
            continue  # a callback of API Pix, which nobody signs
        try:
            values = _renewed_secrets(endpoint, box, work.now)
        except SecretUnreadable:
            counts.unreadable.append(endpoint.public_id)
            continue
        counts.count(is_renewed=bool(values))
        is_same = WebhookEndpoint.secret == endpoint.secret
        if values and not endpoints.change(endpoint.id, values, is_same):
            raise ConcurrentUpdate
    return _last(rows), counts


def _renewed_secrets(endpoint: WebhookEndpoint, box: SecretBox, now: datetime) -> dict[str, Any]:
    """The columns to write, none if both secrets are current. Raises SecretUnreadable."""
    values: dict[str, Any] = {}
    if (secret := box.renewed(endpoint.secret)) is not None:
        values["secret"] = secret
    until = endpoint.previous_until
    if endpoint.previous_secret is not None and until is not None and now < until:
        previous = box.renewed(endpoint.previous_secret)
        if previous is not None:
            values["previous_secret"] = previous
    return values


def reencrypt_signing_keys(work: Work, after: int) -> tuple[int | None, Reencryption]:
    """Private keys that sign the payloads of QR locations; there are few, so one batch."""
    counts = Reencryption()
    for row in work.signing_keys.oldest_first():
        if row.id <= after:
            continue
        try:
            sealed = key_ring().renewed(row.sealed_private_pem)
        except ValueError:
            counts.unreadable.append(row.kid)
            continue
        counts.count(is_renewed=sealed is not None)
        if sealed is not None and not work.signing_keys.reseal(
            row.id, row.sealed_private_pem, sealed
        ):
            raise ConcurrentUpdate
    return None, counts


def _last(rows: Sequence[Any]) -> int | None:
    return int(rows[-1].id) if len(rows) == BATCH else None


@secrets_cli.command("reencrypt")
def reencrypt() -> None:
    """Encrypt all secrets of the database under the present SECRET_KEY.

    These are the credentials of accounts at banks, the signing secrets of webhooks, and the keys
    that sign payloads. Run it after SECRET_KEY was replaced, while SECRET_KEY_PREVIOUS has the old
    key. Safe while processes run, and safe to repeat.
    """
    try:
        accounts = reencrypt_all(reencrypt_accounts)
        webhooks = reencrypt_all(reencrypt_webhooks)
        keys = reencrypt_all(reencrypt_signing_keys)
    except BalcaoError as error:
        raise click.ClickException(error.detail) from None
    _record(accounts.renewed, webhooks.renewed, keys.renewed)
    for name, counts in (
        ("Accounts at banks", accounts), ("Webhooks", webhooks), ("Signing keys", keys)
    ):  # fmt: skip
        click.echo(
            f"{name}: {counts.renewed} encrypted anew, {counts.current} current already, "
            f"{len(counts.unreadable)} unreadable."
        )
    sentences = []
    if accounts.unreadable:
        sentences.append(
            f"Accounts at banks: {', '.join(accounts.unreadable)}: or enter the credentials again "
            "with `flask provider renew`."
        )
    if webhooks.unreadable:
        sentences.append(f"Webhooks: {', '.join(webhooks.unreadable)}: or rotate their secrets.")
    if sentences:
        raise click.ClickException(
            "Encrypted under a key that is neither SECRET_KEY nor SECRET_KEY_PREVIOUS. Set "
            "SECRET_KEY_PREVIOUS to that key.\n" + "\n".join(sentences)
        )


def _record(accounts: int, webhooks: int, keys: int) -> None:
    if not accounts + webhooks + keys:
        return
    details = {"webhooks": webhooks, "signing_keys": keys}
    action, subject = AuditAction.PROVIDERS_REENCRYPTED, str(accounts)
    in_unit_of_work(lambda work: audit.record(work, None, action, subject, details))


def init_reencryption(app: Flask) -> None:
    """Add `flask secrets`, and the same command under its name from before, in `flask provider`."""
    app.cli.add_command(secrets_cli)
    provider_cli.add_command(reencrypt)
