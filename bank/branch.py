"""The bank's parts, built once per application and found again in each request."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app

from bank.chaos.chaos import ChaosDesk
from bank.codes.directory import Directory
from bank.codes.http import Partner
from bank.codes.reader import CodeReader
from bank.database import Database
from bank.money.burst_desk import BurstDesk
from bank.money.outbox import Outbox
from bank.money.paying import Teller
from bank.money.refunds import Refunds
from bank.money.wallets import Wallets
from bank.settings import BankSettings
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
