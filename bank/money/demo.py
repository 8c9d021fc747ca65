"""Demo clients with invented names, so that nobody has to sign up to try a payment."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from bank.database import Database
from bank.models import BankAccount, BankPayer
from bank.money.ledger import opening_transfer
from bank.money.payers import hash_pin
from bank.settings import DEFAULT_ISPB
from core.clock import Clock, SystemClock

DEMO_PIN = "1234"
"""The demo clients' PIN, which pages show: their money is not real."""

OPENING_ACCOUNT = "opening"
"""The account that opening balances are debited from, so its balance is negative."""


@dataclass(frozen=True)
class _DemoClient:
    handle: str
    name: str
    document: str
    card_number: str
    balance_centavos: int
    limit_centavos: int


_DEMO_CLIENTS = (
    _DemoClient("bia", "Bia Andrade", "12345678909", "9990012345670018", 482_350, 500_000),
    _DemoClient("caio", "Caio Teixeira", "11144477735", "9990012345670026", 125_000, 100_000),
    _DemoClient("dora", "Dora Nakamura", "52998224725", "9990012345670034", 3_790, 50_000),
)


def migrate(url: str, clock: Clock | None = None) -> None:
    """Run the bank's migrations and open the demo accounts if the bank has no clients.

    Raises RuntimeError if newer code has migrated the database.
    """
    database = Database(url)
    try:
        database.upgrade()
        open_demo_accounts(database, clock or SystemClock())
    finally:
        database.close()


def open_demo_accounts(database: Database, clock: Clock) -> None:
    """Open the demo clients' accounts if the bank has no clients."""
    with database.reading() as session:
        if session.scalars(select(BankPayer.id).limit(1)).first() is not None:
            return
    pin_hash = hash_pin(DEMO_PIN)
    now = clock.now()
    try:
        with database.writing() as session:
            source = BankAccount(name=OPENING_ACCOUNT, kind="opening", opened_at=now)
            session.add(source)
            for client in _DEMO_CLIENTS:
                account = BankAccount(name=f"payer:{client.handle}", kind="payer", opened_at=now)
                session.add(account)
                session.flush()
                session.add(
                    BankPayer(
                        handle=client.handle,
                        name=client.name,
                        document=client.document,
                        card_number=client.card_number,
                        pin_hash=pin_hash,
                        limit_centavos=client.limit_centavos,
                        account_id=account.id,
                    )
                )
                session.add(
                    opening_transfer(
                        source.id, account.id, client.balance_centavos, DEFAULT_ISPB, now
                    )
                )
    except IntegrityError:
        # Another process has opened the accounts in the meantime; this transaction rolled back.
        return
