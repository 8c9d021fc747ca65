"""The demo payer of the development profile: a login here that is a demo client of the bank."""

from __future__ import annotations

from accounts import passwords, service
from config import Settings
from core.errors import LoginTaken
from db_models import Account
from db_models.account import PAYER
from repository.database import in_unit_of_work, reading

DEMO_PAYER = "bia"
NAME = "Bia Andrade"
DEMO_CLIENT = "bia"
DEMO_PIN = "1234"
"""Her handle at the bank, and the PIN of its demo clients, which the bank's page also shows."""


def is_demo_payer(account: Account) -> bool:
    """Whether the account is the demo payer's."""
    return account.login == DEMO_PAYER and account.role == PAYER


def ensure_demo_payer(settings: Settings) -> None:
    """Create the demo payer with the demo merchant's password; her first use links the wallet.

    An existing account with this login stays unchanged.
    """
    with reading() as work:
        if work.accounts.find_by_login(DEMO_PAYER) is not None:
            return
    password_hash = passwords.hash_password(settings.demo_password)
    try:
        in_unit_of_work(
            lambda work: service.create(
                work, login=DEMO_PAYER, role=PAYER, password_hash=password_hash, name=NAME
            )
        )
    except LoginTaken:
        return  # another process was first
