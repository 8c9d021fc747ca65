"""One unit of work: a connection and its queries."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from core.errors import NotFound
from db_models import Account, Payment, Recurrence, RecurrenceChange, RecurringChargeChange
from repository.accounts import Accounts, RecentAccounts
from repository.assumptions import Assumptions
from repository.audit import Audit
from repository.bank_leases import BankLeases
from repository.charge_batches import ChargeBatches
from repository.charges import Charges
from repository.events import Events, StoredEvent
from repository.idempotent_requests import IdempotentRequests
from repository.locations import Locations
from repository.oauth_clients import OAuthClients
from repository.payer_bank_orders import PayerBankOrders
from repository.payments import Payments
from repository.provider_accounts import ProviderAccounts
from repository.provider_audits import ProviderAudits
from repository.provider_charges import ProviderCharges
from repository.provider_money import ProviderMoney
from repository.receipts import Receipts
from repository.recent_callers import CallerAnswers
from repository.reconciliations import Reconciliations
from repository.recurrence_callbacks import RecurrenceCallbacks
from repository.recurrence_requests import RecurrenceRequests
from repository.recurrences import RecurrenceLocations, Recurrences
from repository.recurring_charge_callbacks import RecurringChargeCallbacks
from repository.recurring_charges import RecurringChargeRecord, RecurringCharges
from repository.refunds import Refunds
from repository.robot_payments import RobotPayments
from repository.sign_ins import SignIns
from repository.signals import Signals
from repository.signing_keys import SigningKeys
from repository.statements import flush_deferred
from repository.tills import Tills


class Work:
    """One unit of work: a connection, its queries, and the single instant of everything in it.

    The session and the query objects are created at first use: a session costs more than a short
    statement.
    """

    def __init__(
        self,
        connection: Connection,
        now: datetime,
        recent: RecentAccounts,
        caller_answers: CallerAnswers,
        assumptions: Assumptions | None = None,
    ) -> None:
        """Use this connection; the caller commits or rolls back.

        With `assumptions` it may assume what its COMMIT verifies: it is repeated if need be.
        """
        self.connection = connection
        self.now = now
        self.recent = recent
        self.caller_answers = caller_answers
        self.assumptions = assumptions
        self.recorded_events: list[StoredEvent] = []
        self.has_deliveries = False
        """Whether it stored deliveries; those of events are stored when they are numbered."""

    @cached_property
    def session(self) -> Session:
        """The session for whole rows, on the same connection: it neither commits nor expires."""
        return Session(self.connection, autoflush=False, expire_on_commit=False)

    @cached_property
    def payments(self) -> Payments:
        """Queries on payments."""
        return Payments(self, self._merchant)

    @cached_property
    def charges(self) -> Charges:
        """Queries on charges of API Pix."""
        return Charges(self)

    @cached_property
    def charge_batches(self) -> ChargeBatches:
        """Queries on batches of charges."""
        return ChargeBatches(self, self._merchant)

    @cached_property
    def locations(self) -> Locations:
        """Queries on locations."""
        return Locations(self)

    @cached_property
    def recurrences(self) -> Recurrences:
        """Queries on recurrences."""
        return Recurrences(self.session)

    @cached_property
    def recurrence_locations(self) -> RecurrenceLocations:
        """Queries on locations of recurrences."""
        return RecurrenceLocations(self.session)

    @cached_property
    def recurring_charges(self) -> RecurringCharges:
        """Queries on charges of recurrences."""
        return RecurringCharges(self.session)

    @cached_property
    def recurrence_requests(self) -> RecurrenceRequests:
        """Queries on requests to payers to confirm a recurrence."""
        return RecurrenceRequests(self.session)

    @cached_property
    def provider_accounts(self) -> ProviderAccounts:
        """Queries on merchants' accounts at real banks."""
        return ProviderAccounts(self.session)

    @cached_property
    def bank_leases(self) -> BankLeases:
        """Renewals of the leases of calls to real banks."""
        return BankLeases(self.session)

    @cached_property
    def provider_charges(self) -> ProviderCharges:
        """Queries on the charges at real banks."""
        return ProviderCharges(self.session)

    @cached_property
    def provider_money(self) -> ProviderMoney:
        """Queries for learning of money at real banks."""
        return ProviderMoney(self.session)

    @cached_property
    def provider_audits(self) -> ProviderAudits:
        """Queries that compare an account at a bank with what is stored."""
        return ProviderAudits(self.session)

    @cached_property
    def receipts(self) -> Receipts:
        """Queries on receipts."""
        return Receipts(self)

    @cached_property
    def reconciliations(self) -> Reconciliations:
        """Queries on reconciliations."""
        return Reconciliations(self.session)

    @cached_property
    def refunds(self) -> Refunds:
        """Queries on refunds."""
        return Refunds(self.session)

    @cached_property
    def payer_bank_orders(self) -> PayerBankOrders:
        """Queries on orders to the payer's bank."""
        return PayerBankOrders(self.session)

    @cached_property
    def robot_payments(self) -> RobotPayments:
        """Queries on the payments that the bank's robot payer shall pay."""
        return RobotPayments(self.session)

    @cached_property
    def events(self) -> Events:
        """Queries on payment events."""
        return Events(self)

    @cached_property
    def accounts(self) -> Accounts:
        """Queries on accounts and their keys."""
        return Accounts(self)

    @cached_property
    def oauth_clients(self) -> OAuthClients:
        """Queries on the clients of API Pix."""
        return OAuthClients(self)

    @cached_property
    def sign_ins(self) -> SignIns:
        """Queries on sign-ins."""
        return SignIns(self.session)

    @cached_property
    def audit(self) -> Audit:
        """Queries on the audit."""
        return Audit(self.session)

    @cached_property
    def idempotent_requests(self) -> IdempotentRequests:
        """Queries on the answers stored under idempotency keys."""
        return IdempotentRequests(self)

    @cached_property
    def signals(self) -> Signals:
        """Queries on signals."""
        return Signals(self.session)

    @cached_property
    def signing_keys(self) -> SigningKeys:
        """Queries on the keys that sign payloads."""
        return SigningKeys(self.session)

    @cached_property
    def tills(self) -> Tills:
        """Queries on tills."""
        return Tills(self.session)

    def close(self) -> None:
        """Detach the rows that were read; they stay usable."""
        session: Session | None = self.__dict__.get("session")
        if session is not None:
            session.close()

    def _merchant(self, account_id: int) -> Account:
        merchant = self.recent.get(account_id, lambda: self.accounts.find(account_id))
        if merchant is None:
            raise NotFound("The payment's merchant no longer exists.")
        return merchant

    def record(self, event_: StoredEvent, payment: Payment | None = None) -> None:
        """Store an event together with its change; the commit listeners announce it.

        `payment` is as for `Events.insert`.
        """
        self.events.insert(event_, self.recorded_events.append, payment)

    def flush_deferred(self) -> None:
        """Store what waits for the COMMIT, for a caller that needs an id before."""
        flush_deferred(self.connection)

    def record_many(self, events: list[StoredEvent]) -> None:
        """Store the same kind of event for several payments at once."""
        self.recorded_events.extend(self.events.insert_many(events))

    def call_back(self, recurrence: Recurrence, change: RecurrenceChange) -> None:
        """Store the callback of a recurrence's new status, if its merchant has an address."""
        if RecurrenceCallbacks(self).insert(recurrence, change):
            self.has_deliveries = True

    def call_back_charge(
        self, record: RecurringChargeRecord, change: RecurringChargeChange
    ) -> None:
        """Store the callback of a recurring charge's step, if its merchant has an address."""
        if RecurringChargeCallbacks(self).insert(record, change):
            self.has_deliveries = True
