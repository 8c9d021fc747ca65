"""Queries for administrators: backlogs, refused receipts, accounts and the audit.

Every query is bounded by a page, by COUNT_MAX or by the last rows of a table, so its cost does not
grow with the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select, union_all
from sqlalchemy.orm import Session

from core.typed import caseless, plain_text
from db_models import (
    Account,
    ApiKey,
    AuditEntry,
    Payment,
    PaymentEvent,
    PaymentStatus,
    Receipt,
    Reconciliation,
    Refund,
    SignIn,
    Verdict,
    WebhookEndpoint,
)
from repository.audit import NEWEST_FIRST
from repository.due import EVER
from repository.owners import IS_NO_TEST_HALF, IS_TEST, OWNER_LOGIN, OWNER_PUBLIC_ID, with_owner
from repository.paging import Keyset, Page, cut

COUNT_MAX = 1000
"""Counts stop at COUNT_MAX + 1, which means *more than COUNT_MAX*."""
TAIL_ROWS = 20_000
"""How many of the last receipts are searched for refused ones."""
WINDOW_ROWS = 20_000
"""How many entries one page searches by a filter that no index covers."""
STUCK_SHOWN = 5
RECENT_ENTRIES = 1000
CREDENTIALS_READ = 50
"""How many of an account's newest sign-ins and keys are asked when it was last used."""
ACTIONS_MAX = 100
_BEYOND_ASCII = "\x7f"
_BY_LOGIN = Keyset(Account.login, cursor=Account.public_id, descending=False)
_BY_TIME = Keyset(AuditEntry.occurred_at, AuditEntry.id, cursor=AuditEntry.public_id)


@dataclass(frozen=True)
class Backlog:
    """The number of waiting rows, up to COUNT_MAX + 1, and the time of the oldest of them."""

    count: int = 0
    since: datetime | None = None


@dataclass(frozen=True)
class Stuck:
    """A payment that should have ended by now, with its merchant's login."""

    txid: str
    login: str
    since: datetime
    is_test: bool


@dataclass(frozen=True)
class RefusedReceipt:
    """Money that was sent back, with the payment and the merchant it was meant for, if known."""

    receipt: Receipt
    txid: str | None
    login: str | None
    name: str | None
    is_test: bool


@dataclass(frozen=True)
class PausedWebhook:
    """A webhook that is paused because its receiver failed for days, with its merchant."""

    url: str
    paused_at: datetime
    login: str
    name: str
    is_test: bool


@dataclass(frozen=True)
class AuditRow:
    """An entry of the audit, with the account that acted, or the merchant of a test half."""

    entry: AuditEntry
    login: str | None
    account_public_id: str | None
    is_test: bool


@dataclass(frozen=True)
class AuditSearch:
    """Conditions on audit entries; None means no condition."""

    account_id: int | None = None
    action: str | None = None
    from_instant: datetime | None = None
    before_instant: datetime | None = None

    @property
    def has_days(self) -> bool:
        return self.from_instant is not None or self.before_instant is not None


class AdminQueries:
    """Queries over all merchants."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def unannounced_events(self) -> Backlog:
        """Events that are stored but not announced yet."""
        return self._backlog(
            select(PaymentEvent.occurred_at.label("since"))
            .where(PaymentEvent.relay_at > EVER)
            .order_by(PaymentEvent.relay_at)
        )

    def overdue_payments(self, before: datetime) -> Backlog:
        """Pending payments whose deadline was before this instant: the sweep is late."""
        return self._backlog(
            select(Payment.expires_at.label("since"))
            .where(Payment.status == PaymentStatus.PENDING, Payment.expires_at < before)
            .order_by(Payment.expires_at)
        )

    def most_overdue(self, before: datetime) -> list[Stuck]:
        """The first overdue payments, by their deadline."""
        query = (
            select(Payment.txid, OWNER_LOGIN, Payment.expires_at, IS_TEST)
            .join(Account, Account.id == Payment.merchant_id)
            .where(Payment.status == PaymentStatus.PENDING, Payment.expires_at < before)
            .order_by(Payment.expires_at)
            .limit(STUCK_SHOWN)
        )
        return [Stuck(*row) for row in self._session.execute(with_owner(query))]

    def slow_refunds(self, before: datetime) -> Backlog:
        """Refunds that were requested before this instant and that the bank has not answered."""
        return self._backlog(
            select(Refund.requested_at.label("since")).where(
                Refund.ask_at > EVER, Refund.requested_at < before
            )
        )

    def slowest_refunds(self, before: datetime) -> list[Stuck]:
        """The first slow refunds, by the time of their next request to the bank."""
        query = (
            select(Payment.txid, OWNER_LOGIN, Refund.requested_at, IS_TEST)
            .join(Payment, Payment.id == Refund.payment_id)
            .join(Account, Account.id == Payment.merchant_id)
            .where(Refund.ask_at > EVER, Refund.requested_at < before)
            .order_by(Refund.ask_at, Refund.id)
            .limit(STUCK_SHOWN)
        )
        return [Stuck(*row) for row in self._session.execute(with_owner(query))]

    def late_look_ups(self, before: datetime) -> Backlog:
        """Payments whose look-up at the bank was due before this instant."""
        return self._backlog(
            select(Payment.look_up_at.label("since"))
            .where(Payment.look_up_at < before)
            .order_by(Payment.look_up_at)
        )

    def walked_to(self, name: str) -> datetime | None:
        """The time up to which a list of the bank was read; None if it never was."""
        query = select(Reconciliation.walked_to).where(Reconciliation.name == name)
        return self._session.scalars(query).one_or_none()

    def refused_receipts(self, limit: int) -> list[RefusedReceipt]:
        """The newest refused receipts among the last TAIL_ROWS of all merchants."""
        newest = select(func.max(Receipt.id)).scalar_subquery()
        query = (
            select(Receipt, Payment.txid, OWNER_LOGIN, Account.name, IS_TEST)
            .outerjoin(Payment, Payment.id == Receipt.payment_id)
            .outerjoin(Account, Account.id == Receipt.merchant_id)
            .where(Receipt.id > newest - TAIL_ROWS, Receipt.verdict == Verdict.REFUSED)
            .order_by(Receipt.id.desc())
            .limit(limit)
        )
        return [RefusedReceipt(*row) for row in self._session.execute(with_owner(query))]

    def paused_webhooks(self, limit: int) -> list[PausedWebhook]:
        """The webhooks of all merchants that were paused last, newest first."""
        query = (
            select(
                WebhookEndpoint.url,
                WebhookEndpoint.paused_at,
                OWNER_LOGIN,
                Account.name,
                IS_TEST,
            )
            .join(Account, Account.id == WebhookEndpoint.merchant_id)
            .where(WebhookEndpoint.paused_at > EVER, WebhookEndpoint.deleted_at.is_(None))
            .order_by(WebhookEndpoint.paused_at.desc(), WebhookEndpoint.id.desc())
            .limit(limit)
        )
        return [
            PausedWebhook(url, paused_at or EVER, login, name, is_test)
            for url, paused_at, login, name, is_test in self._session.execute(with_owner(query))
        ]

    def accounts(
        self, role: str | None, prefix: str | None, after: str | None, limit: int
    ) -> Page[Account]:
        """A page of accounts in the order of logins, filtered by role and by the login's prefix.

        Test halves count with their merchants. Raises InvalidCursor.
        """
        query = select(Account).where(IS_NO_TEST_HALF)
        if role is not None:
            query = query.where(Account.role == role)
        if prefix:
            # New logins are in small letters; an old one may have capital letters.
            spellings = {plain_text(prefix), caseless(prefix)}
            query = query.where(or_(*(self._begins(one) for one in sorted(spellings))))
        return _BY_LOGIN.page(self._session, query, after=after, limit=limit, unknown_is_end=True)

    def last_seen(self, accounts: Sequence[Account]) -> dict[int, datetime]:
        """When each of these accounts last worked, by row id: signed in, or used a key.

        An account that never did is missing. Runs one statement, or none.
        """
        last_uses = {one.id: one.signed_in_at for one in accounts if one.signed_in_at is not None}
        newest = [
            select(table.account_id.label("account_id"), column.label("at"))
            .where(table.account_id == one.id)
            .order_by(table.id.desc())
            .limit(CREDENTIALS_READ)
            .subquery()
            for one in accounts
            for table, column in ((SignIn, SignIn.seen_at), (ApiKey, ApiKey.last_used_at))
        ]
        if newest:
            rows = union_all(*(select(one.c.account_id, one.c.at) for one in newest)).subquery()
            query = select(rows.c.account_id, func.max(rows.c.at)).group_by(rows.c.account_id)
            for account_id, at in self._session.execute(query):
                if at is not None:
                    last_uses[account_id] = max(at, last_uses.get(account_id, at))
        return last_uses

    def audit(self, search: AuditSearch, after: str | None, limit: int) -> Page[AuditRow]:
        """A page of the audit, newest first. Raises InvalidCursor.

        A filter that no index covers is applied to WINDOW_ROWS entries for each page.
        """
        # Days order by time: after a clock was set back, row ids are out of that order.
        keyset = _BY_TIME if search.has_days else NEWEST_FIRST
        indexed, conditions = _by_index(search)
        if after is not None:
            indexed = indexed.where(keyset.beyond(keyset.key_of(self._session, after)))
        if not conditions:
            page = indexed.order_by(*keyset.order()).limit(limit + 1)
            return cut(self._audit_rows(page, keyset.order()), limit, _cursor_of)
        window = indexed.order_by(*keyset.order()).limit(WINDOW_ROWS)
        entries = window.subquery()
        page = (
            select(AuditEntry.id)
            .join(entries, entries.c.id == AuditEntry.id)
            .where(*conditions)
            .order_by(*keyset.order())
            .limit(limit + 1)
        )
        rows = self._audit_rows(page, keyset.order())
        end = keyset.end_of(self._session, window, WINDOW_ROWS) if len(rows) <= limit else None
        return cut(rows, limit, _cursor_of, None if end is None else end[0])

    def audit_about(
        self, account: Account, actions: Sequence[str], limit: int, half: Account | None = None
    ) -> list[AuditRow]:
        """Everything the account and its test half did, and these actions by others on it."""
        entry = select(AuditEntry.id).order_by(AuditEntry.id.desc()).limit(limit)
        authors = [account] if half is None else [account, half]
        queries = [entry.where(AuditEntry.account_id == author.id) for author in authors]
        # One query for each action: each reads its index from the newest entry.
        queries += [
            entry.where(AuditEntry.action == action, AuditEntry.subject == account.login)
            for action in actions
        ]
        ids = [row for query in queries for row in self._session.scalars(query)]
        newest = sorted(set(ids), reverse=True)[:limit]
        return self._audit_rows(newest, [AuditEntry.id.desc()]) if newest else []

    def recent_actions(self) -> list[str]:
        """The actions among the last RECENT_ENTRIES entries, to choose a filter from."""
        recent = select(AuditEntry.action).order_by(AuditEntry.id.desc()).limit(RECENT_ENTRIES)
        names = select(recent.subquery().c.action).distinct().limit(ACTIONS_MAX)
        return sorted(self._session.scalars(names))

    def _backlog(self, rows: Select[Any]) -> Backlog:
        bounded = rows.limit(COUNT_MAX + 1).subquery()
        query = select(func.count(), func.min(bounded.c.since)).select_from(bounded)
        count, since = self._session.execute(query).one()
        return Backlog(int(count), since)

    def _begins(self, prefix: str) -> Any:
        if self._session.get_bind().dialect.name == "postgresql":
            # PostgreSQL orders text by the database's locale, so a range of logins is no prefix.
            return Account.login.startswith(prefix, autoescape=True)
        # Logins are ASCII and compared byte for byte, so a prefix is a range of the index.
        return (Account.login >= prefix) & (Account.login < prefix + _BEYOND_ASCII)

    def _audit_rows(self, ids: Select[Any] | list[int], order: Sequence[Any]) -> list[AuditRow]:
        query = (
            select(AuditEntry, OWNER_LOGIN, OWNER_PUBLIC_ID, IS_TEST)
            .outerjoin(Account, Account.id == AuditEntry.account_id)
            .order_by(*order)
        )
        if isinstance(ids, list):
            query = query.where(AuditEntry.id.in_(ids))
        else:
            page = ids.subquery()
            query = query.join(page, page.c.id == AuditEntry.id)
        return [AuditRow(*row) for row in self._session.execute(with_owner(query))]


def _by_index(search: AuditSearch) -> tuple[Any, list[Any]]:
    """The query along the most selective index, and the conditions which that does not cover."""
    query = select(AuditEntry.id, AuditEntry.occurred_at)
    account, action = search.account_id, search.action
    of_account = [AuditEntry.account_id == account] if account is not None else []
    of_action = [AuditEntry.action == action] if action is not None else []
    if search.has_days:
        days = []
        if search.from_instant is not None:
            days.append(AuditEntry.occurred_at >= search.from_instant)
        if search.before_instant is not None:
            days.append(AuditEntry.occurred_at < search.before_instant)
        return query.where(*days), of_account + of_action
    if of_account:
        return query.where(*of_account), of_action
    return query.where(*of_action), []


def _cursor_of(row: AuditRow) -> str:
    return row.entry.public_id
