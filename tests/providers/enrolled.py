"""Accounts at banks for tests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Flask

from db_models import Environment, ProviderAccount
from providers import enrolment
from providers.enrolment import BankCredentials, NewAccount
from repository.database import Work, in_unit_of_work, reading

CLIENT_ID, CLIENT_SECRET = "client-id-of-alice", "client-secret-of-alice-which-nobody-may-see"


def new_account(
    environment: Environment = Environment.TEST,
    *,
    profile: str = "standard",
    pix_key: str = "12345678909",
    name: str = "Conta",
    ends_at: datetime | None = None,
    **overrides: Any,
) -> NewAccount:
    """An account without a certificate."""
    credentials = BankCredentials(CLIENT_ID, CLIENT_SECRET, certificate_ends_at=ends_at)
    return NewAccount(profile, environment, pix_key, name, credentials, overrides)


def enrol(app: Flask, login: str = "demo", new: NewAccount | None = None) -> ProviderAccount:
    """Store an account of this merchant."""

    def do(work: Work) -> ProviderAccount:
        return enrolment.add(work, work.accounts.by_login(login), new or new_account())

    with app.app_context():
        return in_unit_of_work(do)


def enrol_unused(app: Flask, login: str) -> ProviderAccount:
    """An account that new payments do not use: they stay at the simulated bank."""
    account = enrol(app, login)

    def do(work: Work) -> None:
        environment = Environment(account.environment)
        enrolment.stop_using(work, work.accounts.by_login(login), environment)

    with app.app_context():
        in_unit_of_work(do)
    return account


def stored(app: Flask, account: ProviderAccount) -> ProviderAccount:
    """The account as its row is now."""
    with app.app_context(), reading() as work:
        row = work.provider_accounts.find(account.id)
    assert row is not None
    return row


def change(app: Flask, account: ProviderAccount, **values: Any) -> None:
    """Write columns of the account's row."""
    with app.app_context():
        in_unit_of_work(lambda work: work.provider_accounts.change(account.id, values))
