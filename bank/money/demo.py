"""Demo clients with invented names, so that the first payment needs no sign-up."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from bank.database import Database
from bank.identifiers import OPENING, new_identifier
from bank.models import BankAccount, BankPayer, Transfer
from bank.money.payers import hash_pin
from bank.settings import DEFAULT_ISPB
from core.clock import Clock, SystemClock

DEMO_PIN = "1234"
"""Told on the page: nothing it opens is real."""

OPENING_ACCOUNT = "opening"
"""Where every balance came from: what it lacks is what all the others hold."""


@dataclass(frozen=True)
class _Person:
    handle: str
    name: str
    document: str
    card_number: str
    balance_centavos: int
    limit_centavos: int


_PEOPLE = (
    _Person("bia", "Bia Andrade", "12345678909", "9990012345670018", 482_350, 500_000),
    _Person("caio", "Caio Teixeira", "11144477735", "9990012345670026", 125_000, 100_000),
    _Person("dora", "Dora Nakamura", "52998224725", "9990012345670034", 3_790, 50_000),
)


def migrate(url: str, clock: Clock | None = None) -> None:
    """Bring the bank's tables up to date and open the demo accounts if there are none.

    Raises RuntimeError when newer code wrote the database.
    """
    database = Database(url)
    try:
        database.upgrade()
        open_demo_accounts(database, clock or SystemClock())
    finally:
        database.close()


def open_demo_accounts(database: Database, clock: Clock) -> None:
    """Open the demo clients' accounts, unless the bank has clients already."""
    with database.reading() as session:
        if session.scalars(select(BankPayer.id).limit(1)).first() is not None:
            return
    pin_hash = hash_pin(DEMO_PIN)
    now = clock.now()
    try:
        with database.writing() as session:
            source = BankAccount(name=OPENING_ACCOUNT, kind="opening", opened_at=now)
            session.add(source)
            for person in _PEOPLE:
                account = BankAccount(name=f"payer:{person.handle}", kind="payer", opened_at=now)
                session.add(account)
                session.flush()
                session.add(
                    BankPayer(
                        handle=person.handle,
                        name=person.name,
                        document=person.document,
                        card_number=person.card_number,
                        pin_hash=pin_hash,
                        limit_centavos=person.limit_centavos,
                        account_id=account.id,
                    )
                )
                session.add(
                    Transfer(
                        identifier=new_identifier(OPENING, DEFAULT_ISPB, now),
                        kind="opening",
                        debit_account_id=source.id,
                        credit_account_id=account.id,
                        amount_centavos=person.balance_centavos,
                        made_at=now,
                    )
                )
    except IntegrityError:
        # Another process opened them in between: its rows stand, ours were rolled back.
        return
