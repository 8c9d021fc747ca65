"""The objects that the bank's views share, created once per application."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app

from bank.chaos.chaos import ChaosDesk
from bank.codes.directory import KeyDirectory
from bank.codes.http import HttpClient
from bank.codes.locations import LocationReader
from bank.codes.reader import CodeReader
from bank.codes.recurrence_reader import RecurrenceReader
from bank.database import Database
from bank.mandates.collection_outbox import CollectionOutbox
from bank.mandates.collections import CollectionDesk
from bank.mandates.composite import CompositeDesk
from bank.mandates.desk import MandateDesk
from bank.mandates.outbox import MandateOutbox
from bank.mandates.requests import RequestDesk
from bank.money.burst_desk import BurstDesk
from bank.money.outbox import Outbox
from bank.money.paying import Teller
from bank.money.refunds import RefundDesk
from bank.money.robot import PayerRobot
from bank.money.wallets import Wallets
from bank.settings import BankSettings
from core.clock import Clock

EXTENSION = "balcao-bank"


@dataclass(frozen=True)
class Branch:
    """Settings, clock, database and services of one application."""

    settings: BankSettings
    clock: Clock
    database: Database
    http_client: HttpClient
    reader: CodeReader
    outbox: Outbox
    desk: ChaosDesk
    bursts: BurstDesk
    teller: Teller
    refunds: RefundDesk
    wallets: Wallets
    robot: PayerRobot
    mandates: MandateDesk
    mandate_outbox: MandateOutbox
    requests: RequestDesk
    collections: CollectionDesk
    collection_outbox: CollectionOutbox
    composite: CompositeDesk


def build(settings: BankSettings, clock: Clock) -> Branch:
    """Create the objects without touching the database or the network."""
    database = Database(settings.database_url)
    http_client = HttpClient()
    locations = LocationReader(http_client, settings.participant_hosts)
    reader = CodeReader(locations, KeyDirectory(database))
    recurrences = RecurrenceReader(locations)
    mandate_outbox = MandateOutbox(settings, database, http_client, clock)
    outbox = Outbox(settings, database, http_client, clock)
    desk = ChaosDesk(settings, database)
    teller = Teller(settings, database, reader, outbox, desk, clock)
    refunds = RefundDesk(settings, database, clock)
    return Branch(
        settings=settings,
        clock=clock,
        database=database,
        http_client=http_client,
        reader=reader,
        outbox=outbox,
        desk=desk,
        bursts=BurstDesk(settings, database, clock),
        refunds=refunds,
        wallets=Wallets(settings, database, teller, clock),
        robot=PayerRobot(settings, database, teller, clock),
        mandates=MandateDesk(database, recurrences, mandate_outbox, clock),
        mandate_outbox=mandate_outbox,
        requests=RequestDesk(settings, database, mandate_outbox, clock),
        collections=CollectionDesk(database, clock),
        collection_outbox=CollectionOutbox(settings, database, http_client, clock),
        composite=CompositeDesk(database, recurrences, teller, mandate_outbox, clock),
        teller=teller,
    )


def current_branch() -> Branch:
    """The branch of the application that serves this request."""
    branch: Branch = current_app.extensions[EXTENSION]
    return branch
