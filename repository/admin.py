"""What administrators look at: what waits too long, what was refused, accounts, who did what.

Every query is bounded: by a page, by a count that stops at COUNT_MAX, or by the last rows of a
table. None grows with what the tables hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from core.errors import InvalidCursor
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
    ) -> Sequence[Account]:
        """Accounts by their login, of one role or whose login begins so; `after` is a public id."""
        query = select(Account).order_by(Account.login).limit(limit)
        if role is not None:
            query = query.where(Account.role == role)
        if prefix:
            query = query.where(self._begins(prefix))
        if after is not None:
            last = select(Account.login).where(Account.public_id == after).scalar_subquery()
            query = query.where(Account.login > last)
        return self._session.scalars(query).all()

    def deeds(self, asked: Deeds, after: str | None, limit: int) -> tuple[list[Deed], str | None]:
        """What was done, newest first, and where to go on: a public id, None at the end.

        `after` is the public id of the last entry looked at; raises InvalidCursor where there is
        no such entry. What no index leads to is looked for among WINDOW_ROWS entries for each page.
        """
        walk, beside = _walk_of(asked)
        if after is not None:
            place = self._session.execute(
                select(AuditEntry.id, AuditEntry.occurred_at).where(AuditEntry.public_id == after)
            ).one_or_none()
            if place is None:
                raise InvalidCursor
            walk = walk.where(*_behind(place, asked))
        order = _order(AuditEntry, asked)
        if not beside:
            page = walk.order_by(*order).limit(limit + 1)
            return _cut(self._deeds_of(page, order), limit)
        window = walk.order_by(*order).limit(WINDOW_ROWS).subquery()
        page = (
            select(AuditEntry.id)
            .join(window, window.c.id == AuditEntry.id)
            .where(*beside)
            .order_by(*order)
            .limit(limit + 1)
        )
        found, place_on = _cut(self._deeds_of(page, order), limit)
        return found, place_on or self._end_of(window, asked)

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

    def _end_of(self, window: Any, asked: Deeds) -> str | None:
        """The last entry of a window, where there may be more behind it."""
        looked_at = self._session.execute(select(func.count()).select_from(window)).scalar_one()
        if looked_at < WINDOW_ROWS:
            return None
        columns = [window.c.occurred_at, window.c.id] if asked.has_days else [window.c.id]
        last = select(window.c.public_id).order_by(*columns).limit(1)
        return str(self._session.execute(last).scalar_one())

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
    columns = (AuditEntry.id, AuditEntry.public_id, AuditEntry.occurred_at)
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


def _order(entry: Any, asked: Deeds) -> list[Any]:
    """By day it is the time that counts: a clock that was set back wrote rows out of order."""
    return [*([entry.occurred_at.desc()] if asked.has_days else []), entry.id.desc()]


def _behind(place: Any, asked: Deeds) -> list[Any]:
    row, at = place
    if not asked.has_days:
        return [AuditEntry.id < row]
    return [
        AuditEntry.occurred_at <= at,
        or_(AuditEntry.occurred_at < at, AuditEntry.id < row),
    ]


def _cut(found: list[Deed], limit: int) -> tuple[list[Deed], str | None]:
    """A page, and the id of its last entry where there is more."""
    if len(found) <= limit:
        return found, None
    return found[:limit], found[limit - 1].entry.public_id
