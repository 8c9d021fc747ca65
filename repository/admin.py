"""What administrators look at: what waits too long, what was refused, accounts, who did what.

Every query is bounded: by a page, by a count that stops at COUNT_MAX, or by the last rows of a
table. None grows with what the tables hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from db_models import (
    Account,
    AuditEntry,
    Payment,
    PaymentEvent,
    PaymentStatus,
    Receipt,
    Reconciliation,
    Refund,
    Verdict,
)
from repository.audit import NEWEST_FIRST
from repository.paging import Keyset, Page, cut

COUNT_MAX = 1000
"""As far as anything is counted; one more means *more than so many*."""
TAIL_ROWS = 20_000
"""How many of the last receipts are looked through for refused ones."""
WINDOW_ROWS = 20_000
"""How many entries one page looks through for what no index leads to."""
STUCK_SHOWN = 5
RECENT_ENTRIES = 1000
ACTIONS_MAX = 100
_BEYOND_ASCII = "\x7f"
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Before anything here: later than that means *not null*, in words that every index understands."""
_BY_LOGIN = Keyset(Account.login, cursor=Account.public_id, descending=False)
_BY_TIME = Keyset(AuditEntry.occurred_at, AuditEntry.id, cursor=AuditEntry.public_id)


@dataclass(frozen=True)
class Backlog:
    """How many wait, up to COUNT_MAX + 1, and since when the oldest of those does."""

    count: int = 0
    since: datetime | None = None


@dataclass(frozen=True)
class Stuck:
    """One payment that should have ended, and whose it is."""

    txid: str
    login: str
    since: datetime


@dataclass(frozen=True)
class RefusedReceipt:
    """Money that went back, and whose it would have been, where that is known."""

    receipt: Receipt
    txid: str | None
    login: str | None
    name: str | None


@dataclass(frozen=True)
class Deed:
    """An entry of the audit, and by whose account."""

    entry: AuditEntry
    login: str | None
    account_public_id: str | None


@dataclass(frozen=True)
class Deeds:
    """What a search of the audit asks for; None means everything."""

    account_id: int | None = None
    action: str | None = None
    from_instant: datetime | None = None
    before_instant: datetime | None = None

    @property
    def has_days(self) -> bool:
        """Whether it is bounded in time."""
        return self.from_instant is not None or self.before_instant is not None


class AdminQueries:
    """Queries over all merchants."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def untold_events(self) -> Backlog:
        """Events that nobody was told of yet, those being told at this moment included."""
        return self._waiting(
            select(PaymentEvent.occurred_at.label("since"))
            .where(PaymentEvent.relay_at > _EVER)
            .order_by(PaymentEvent.relay_at)
        )

    def overdue_payments(self, before: datetime) -> Backlog:
        """Payments that nobody wrote down as expired, of a deadline before this instant."""
        return self._waiting(
            select(Payment.expires_at.label("since"))
            .where(Payment.status == PaymentStatus.PENDING, Payment.expires_at < before)
            .order_by(Payment.expires_at)
        )

    def most_overdue(self, before: datetime) -> list[Stuck]:
        """The first few of those, the longest waiting first."""
        query = (
            select(Payment.txid, Account.login, Payment.expires_at)
            .join(Account, Account.id == Payment.merchant_id)
            .where(Payment.status == PaymentStatus.PENDING, Payment.expires_at < before)
            .order_by(Payment.expires_at)
            .limit(STUCK_SHOWN)
        )
        return [Stuck(*row) for row in self._session.execute(query)]

    def slow_refunds(self, before: datetime) -> Backlog:
        """Refunds asked for before this instant that the bank has not answered."""
        return self._waiting(
            select(Refund.requested_at.label("since")).where(
                Refund.ask_at > _EVER, Refund.requested_at < before
            )
        )

    def slowest_refunds(self, before: datetime) -> list[Stuck]:
        """The first few of those by when the bank is asked again."""
        query = (
            select(Payment.txid, Account.login, Refund.requested_at)
            .join(Payment, Payment.id == Refund.payment_id)
            .join(Account, Account.id == Payment.merchant_id)
            .where(Refund.ask_at > _EVER, Refund.requested_at < before)
            .order_by(Refund.ask_at, Refund.id)
            .limit(STUCK_SHOWN)
        )
        return [Stuck(*row) for row in self._session.execute(query)]

    def late_look_ups(self, before: datetime) -> Backlog:
        """Payments the bank should have been asked about before this instant."""
        return self._waiting(
            select(Payment.look_up_at.label("since"))
            .where(Payment.look_up_at < before)
            .order_by(Payment.look_up_at)
        )

    def walked_to(self, name: str) -> datetime | None:
        """Up to when a list of the bank's was read; None where nobody ever began."""
        mark = select(Reconciliation.walked_to).where(Reconciliation.name == name)
        return self._session.scalars(mark).one_or_none()

    def refused_receipts(self, limit: int) -> list[RefusedReceipt]:
        """The newest refused receipts among the last TAIL_ROWS of all merchants."""
        newest = select(func.max(Receipt.id)).scalar_subquery()
        query = (
            select(Receipt, Payment.txid, Account.login, Account.name)
            .outerjoin(Payment, Payment.id == Receipt.payment_id)
            .outerjoin(Account, Account.id == Receipt.merchant_id)
            .where(Receipt.id > newest - TAIL_ROWS, Receipt.verdict == Verdict.REFUSED)
            .order_by(Receipt.id.desc())
            .limit(limit)
        )
        return [RefusedReceipt(*row) for row in self._session.execute(query)]

    def accounts(
        self, role: str | None, prefix: str | None, after: str | None, limit: int
    ) -> Page[Account]:
        """A page of accounts by their login, of one role or whose login begins with `prefix`.

        Raises InvalidCursor.
        """
        query = select(Account)
        if role is not None:
            query = query.where(Account.role == role)
        if prefix:
            query = query.where(self._begins(prefix))
        return _BY_LOGIN.page(self._session, query, after=after, limit=limit, unknown_is_end=True)

    def deeds(self, asked: Deeds, after: str | None, limit: int) -> Page[Deed]:
        """A page of what was done, newest first. Raises InvalidCursor.

        What no index leads to is looked for among WINDOW_ROWS entries for each page.
        """
        # By day the time counts: a clock that was set back wrote rows out of order.
        keyset = _BY_TIME if asked.has_days else NEWEST_FIRST
        walk, beside = _walk_of(asked)
        if after is not None:
            walk = walk.where(keyset.beyond(keyset.key_of(self._session, after)))
        if not beside:
            page = walk.order_by(*keyset.order()).limit(limit + 1)
            return cut(self._deeds_of(page, keyset.order()), limit, _cursor_of)
        window = walk.order_by(*keyset.order()).limit(WINDOW_ROWS)
        looked_at = window.subquery()
        page = (
            select(AuditEntry.id)
            .join(looked_at, looked_at.c.id == AuditEntry.id)
            .where(*beside)
            .order_by(*keyset.order())
            .limit(limit + 1)
        )
        found = self._deeds_of(page, keyset.order())
        end = keyset.end_of(self._session, window, WINDOW_ROWS) if len(found) <= limit else None
        return cut(found, limit, _cursor_of, None if end is None else end[0])

    def deeds_about(self, account: Account, actions: Sequence[str], limit: int) -> list[Deed]:
        """What was done with the account, and what of these actions others did to it."""
        entry = select(AuditEntry.id).order_by(AuditEntry.id.desc()).limit(limit)
        queries = [entry.where(AuditEntry.account_id == account.id)]
        # One action at a time: each is a walk along its index, from the newest.
        queries += [
            entry.where(AuditEntry.action == action, AuditEntry.subject == account.login)
            for action in actions
        ]
        ids = [row for query in queries for row in self._session.scalars(query)]
        newest = sorted(set(ids), reverse=True)[:limit]
        return self._deeds_of(newest, [AuditEntry.id.desc()]) if newest else []

    def recent_actions(self) -> list[str]:
        """The names of what was done lately, to choose from."""
        recent = select(AuditEntry.action).order_by(AuditEntry.id.desc()).limit(RECENT_ENTRIES)
        names = select(recent.subquery().c.action).distinct().limit(ACTIONS_MAX)
        return sorted(self._session.scalars(names))

    def _waiting(self, some: Select[Any]) -> Backlog:
        bounded = some.limit(COUNT_MAX + 1).subquery()
        query = select(func.count(), func.min(bounded.c.since)).select_from(bounded)
        count, since = self._session.execute(query).one()
        return Backlog(int(count), since)

    def _begins(self, prefix: str) -> Any:
        if self._session.get_bind().dialect.name == "postgresql":
            # Its order of letters is the database's own, so a span of logins is no prefix there.
            return Account.login.startswith(prefix, autoescape=True)
        # Logins are ASCII and compared byte for byte: a span of the index, exactly.
        return (Account.login >= prefix) & (Account.login < prefix + _BEYOND_ASCII)

    def _deeds_of(self, ids: Select[Any] | list[int], order: Sequence[Any]) -> list[Deed]:
        query = (
            select(AuditEntry, Account.login, Account.public_id)
            .outerjoin(Account, Account.id == AuditEntry.account_id)
            .order_by(*order)
        )
        if isinstance(ids, list):
            query = query.where(AuditEntry.id.in_(ids))
        else:
            page = ids.subquery()
            query = query.join(page, page.c.id == AuditEntry.id)
        return [Deed(*row) for row in self._session.execute(query)]


def _walk_of(asked: Deeds) -> tuple[Any, list[Any]]:
    """The entries along the index that leads furthest, and what must be looked for beside it."""
    columns = (AuditEntry.id, AuditEntry.occurred_at)
    of_account = [AuditEntry.account_id == asked.account_id] if asked.account_id is not None else []
    of_action = [AuditEntry.action == asked.action] if asked.action is not None else []
    if asked.has_days:
        days = []
        if asked.from_instant is not None:
            days.append(AuditEntry.occurred_at >= asked.from_instant)
        if asked.before_instant is not None:
            days.append(AuditEntry.occurred_at < asked.before_instant)
        return select(*columns).where(*days), of_account + of_action
    if of_account:
        return select(*columns).where(*of_account), of_action
    return select(*columns).where(*of_action), []


def _cursor_of(deed: Deed) -> str:
    return deed.entry.public_id
