"""The bank's parts, built once per application and found again in each request."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app

from bank.burst_desk import BurstDesk
from bank.chaos import ChaosDesk
from bank.database import Database
from bank.directory import Directory
from bank.outbox import Outbox
from bank.partner import Partner
from bank.paying import Teller
from bank.reading import CodeReader
from bank.refunds import Refunds
from bank.settings import BankSettings
from bank.wallets import Wallets
from core.clock import Clock

EXTENSION = "balcao-bank"


@dataclass(frozen=True)
class Branch:
    """Everything a request may need."""

    settings: BankSettings
    clock: Clock
    database: Database
    partner: Partner
    reader: CodeReader
    outbox: Outbox
    desk: ChaosDesk
    bursts: BurstDesk
    teller: Teller
    refunds: Refunds
    wallets: Wallets


def build(settings: BankSettings, clock: Clock) -> Branch:
    """Put the parts together; neither the database nor the network is touched."""
    database = Database(settings.database_url)
    partner = Partner()
    reader = CodeReader(partner, settings.participant_hosts, Directory(database))
    outbox = Outbox(settings, database, partner, clock)
    desk = ChaosDesk(settings, database)
    teller = Teller(settings, database, reader, outbox, desk, clock)
    refunds = Refunds(settings, database, clock)
    return Branch(
        settings=settings,
        clock=clock,
        database=database,
        partner=partner,
        reader=reader,
        outbox=outbox,
        desk=desk,
        bursts=BurstDesk(settings, database, clock),
        refunds=refunds,
        wallets=Wallets(settings, database, teller, clock),
        teller=teller,
    )


def here() -> Branch:
    """The parts of the application that serves this request."""
    branch: Branch = current_app.extensions[EXTENSION]
    return branch
