"""Queries on deliveries and attempts of webhooks.

A delivery is claimed by a conditional update that moves `due_at` to the end of a lease, so two
processes never send one delivery at the same time, and a killed process delays it by the lease.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from core import ids
from core.clock import latest_end
from core.webhook_errors import DeliveryNotFound
from db_models import (
    DeliveryStatus,
    FeedEntry,
    PaymentEvent,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)
from db_models.base import UtcDateTime
from repository.connections import Unit, rows_changed
from repository.detached import Detached
from repository.due import EVER
from repository.paging import Keyset, Page
from repository.webhook_endpoints import MAY_BE_SENT_TO

LEASE = timedelta(seconds=20)
"""Longer than an attempt and its end can take (15 s), so that it ends before another begins."""
PAUSE_MAX = timedelta(hours=27)
"""The longest pause between two attempts: 24 h and the jitter."""
_ORDER = Keyset(WebhookDelivery.id, cursor=WebhookDelivery.public_id)


@dataclass(frozen=True)
class DueDelivery:
    """A delivery that is due, with what sending needs."""

    id: int
    public_id: str
    kind: str
    created_at: datetime
    due_at: datetime
    feed_position: int | None
    recurrence_change_id: int | None
    charge_change_id: int | None
    payment_id: int | None
    attempts: int
    """Before the next one."""
    refusals: int
    blocker_due_at: datetime | None
    """Set if an earlier event of the same payment must be sent first: when that one is due, or
    earlier if it is being sent."""


class WebhookDeliveries:
    """Queries on webhook_deliveries and webhook_attempts."""

    def __init__(self, unit: Unit) -> None:
        """Use the connection of the unit of work; sending uses no session, which costs more."""
        self._unit = unit
        self._connection = unit.connection

    @property
    def _session(self) -> Session:
        return self._unit.session

    def insert_many(self, rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
        """Store deliveries that are due now; later rows of one payment are sent after earlier ones.

        A row has endpoint_id, kind, feed_position and payment_id.
        """
        if rows:
            self._connection.execute(_INSERT, [_new_row(row, now) for row in rows])

    def insert(self, row: Mapping[str, Any], now: datetime) -> WebhookDelivery:
        """Store one delivery that is due now; return it."""
        values = _new_row(row, now)
        self._connection.execute(_INSERT, values)
        query = select(WebhookDelivery).where(WebhookDelivery.public_id == values["public_id"])
        return self._session.scalars(query).one()

    def endpoints_due(self, now: datetime, after_id: int, limit: int) -> Sequence[WebhookEndpoint]:
        """Endpoints that may be sent to and have a due delivery, by row id after `after_id`.

        One index probe per endpoint, however many deliveries wait.
        """
        key = {"after_id": after_id, "limit": limit, **_due_key(now)}
        return self._endpoints(_ENDPOINTS_DUE, key)

    def endpoints_pending(self, limit: int) -> Sequence[WebhookEndpoint]:
        """Endpoints that may be sent to and have a delivery that has not ended, by row id."""
        return self._endpoints(_ENDPOINTS_PENDING, {"after_id": 0, "limit": limit})

    def _endpoints(
        self, queries: Mapping[bool, Select[Any]], key: Mapping[str, Any]
    ) -> list[WebhookEndpoint]:
        has_nulls_last = self._connection.dialect.name == "postgresql"
        rows = self._connection.execute(queries[has_nulls_last], key)
        return [_ENDPOINTS.of(row) for row in rows]

    def due(self, endpoint_id: int, now: datetime, limit: int) -> list[DueDelivery]:
        """Due deliveries of an endpoint, the longest due first."""
        key = {"endpoint_id": endpoint_id, "limit": limit, **_due_key(now)}
        rows = self._connection.execute(_DUE, key)
        return [DueDelivery(*row) for row in rows]

    def postpone(self, delivery: DueDelivery, until: datetime) -> None:
        """Move a delivery that waits for an earlier one, if nobody claimed it meanwhile."""
        key = {"row": delivery.id, "as_read": delivery.due_at}
        self._connection.execute(_POSTPONE, {**key, "until": until})

    def claim(self, delivery: DueDelivery, now: datetime) -> str | None:
        """Claim a delivery until the lease ends; its token, or None if it is not due any more."""
        token = ids.new_public_id()
        key = {"row": delivery.id, "as_read": delivery.due_at}
        result = self._connection.execute(_CLAIM, {**key, "token": token, "until": now + LEASE})
        return token if result.rowcount == 1 else None

    def settle(self, delivery_id: int, token: str, values: Mapping[str, Any]) -> bool:
        """Write the result of an attempt if the lease still has this token; False otherwise.

        `values` are status, due_at, ended_at and refusals.
        """
        key = {"row": delivery_id, "token": token}
        result = self._connection.execute(
            _SETTLE, {**key, **{f"new_{k}": v for k, v in values.items()}}
        )
        return result.rowcount == 1

    def wake_followers(self, delivery: DueDelivery, endpoint_id: int, now: datetime) -> None:
        """Make the later events of the same payment due: the delivery has ended."""
        if delivery.payment_id is None:
            return
        statement = update(WebhookDelivery).where(
            WebhookDelivery.endpoint_id == endpoint_id,
            WebhookDelivery.payment_id == delivery.payment_id,
            WebhookDelivery.id > delivery.id,
            WebhookDelivery.due_at > now,
            WebhookDelivery.lease.is_(None),
            WebhookDelivery.attempts == 0,
        )
        self._session.execute(statement.values(due_at=now))

    def send_now(self, delivery_id: int, now: datetime) -> bool:
        """Make a pending delivery due at once; False if it has ended or is being sent."""
        statement = update(WebhookDelivery).where(
            WebhookDelivery.id == delivery_id,
            WebhookDelivery.status == DeliveryStatus.PENDING,
            WebhookDelivery.lease.is_(None),
        )
        return rows_changed(self._session, statement.values(due_at=now)) == 1

    def pending(self, endpoint_id: int, most: int) -> int:
        """How many deliveries of the endpoint wait; counts to `most` at most."""
        waiting = select(WebhookDelivery.id).where(
            WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.due_at > EVER
        )
        query = select(func.count()).select_from(waiting.limit(most).subquery())
        return int(self._session.scalar(query) or 0)

    def delivered_since(self, endpoint_id: int, instant: datetime) -> bool:
        """Whether the endpoint took a delivery since then."""
        query = select(WebhookDelivery.id).where(
            WebhookDelivery.endpoint_id == endpoint_id,
            WebhookDelivery.status == DeliveryStatus.DELIVERED,
            WebhookDelivery.ended_at >= instant,
        )
        return self._session.scalar(query.limit(1)) is not None

    def insert_attempt(self, values: Mapping[str, Any]) -> None:
        """Store one attempt."""
        self._connection.execute(_INSERT_ATTEMPT, dict(values))

    def of_endpoint(
        self, endpoint_id: int, status: str | None, after: str | None, limit: int
    ) -> Page[WebhookDelivery]:
        """A page of an endpoint's deliveries, newest first. Raises InvalidCursor."""
        scope = [WebhookDelivery.endpoint_id == endpoint_id]
        query = select(WebhookDelivery).where(*scope)
        if status is not None:
            query = query.where(WebhookDelivery.status == status)
        return _ORDER.page(
            self._session, query, *scope, after=after, limit=limit, unknown_is_end=True
        )

    def own(self, merchant_id: int, public_id: str) -> tuple[WebhookDelivery, WebhookEndpoint]:
        """A delivery of the merchant with its endpoint. Raises DeliveryNotFound."""
        row = None
        if ids.is_txid(public_id):
            query = (
                select(WebhookDelivery, WebhookEndpoint)
                .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
                .where(
                    WebhookDelivery.public_id == public_id,
                    WebhookEndpoint.merchant_id == merchant_id,
                    WebhookEndpoint.deleted_at.is_(None),
                )
            )
            row = self._session.execute(query).one_or_none()
        if row is None:
            raise DeliveryNotFound
        return row[0], row[1]

    def attempts_of(self, delivery_ids: Collection[int]) -> dict[int, list[WebhookAttempt]]:
        """The attempts of these deliveries, oldest first."""
        attempts: dict[int, list[WebhookAttempt]] = {}
        if delivery_ids:
            query = select(WebhookAttempt).where(WebhookAttempt.delivery_id.in_(delivery_ids))
            for attempt in self._session.scalars(query.order_by(WebhookAttempt.id)):
                attempts.setdefault(attempt.delivery_id, []).append(attempt)
        return attempts

    def events_between(
        self,
        merchant_id: int,
        span: tuple[datetime, datetime],
        types: Sequence[str] | None,
        limit: int,
    ) -> list[tuple[int, int | None]]:
        """Positions and payments of the merchant's events that occurred within the span, in order.

        Both ends are inclusive; at most `limit` events.
        """
        query = (
            select(FeedEntry.position, PaymentEvent.payment_id)
            .join(PaymentEvent, PaymentEvent.id == FeedEntry.event_id)
            .where(
                FeedEntry.merchant_id == merchant_id,
                FeedEntry.occurred_at >= span[0],
                FeedEntry.occurred_at <= span[1],
            )
        )
        if types is not None:
            query = query.where(FeedEntry.type.in_(types))
        rows = self._session.execute(query.order_by(FeedEntry.position).limit(limit))
        return [(int(row[0]), row[1]) for row in rows]

    def delete_before(self, instant: datetime, limit: int) -> int:
        """Delete up to `limit` old deliveries with their attempts; return how many deliveries.

        Old are deliveries from before the instant, and all deliveries of deleted endpoints.
        """
        old = select(WebhookDelivery.id).where(WebhookDelivery.created_at < instant)
        row_ids = list(self._session.scalars(old.order_by(WebhookDelivery.created_at).limit(limit)))
        if len(row_ids) < limit:
            orphaned = (
                select(WebhookDelivery.id)
                .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
                .where(WebhookEndpoint.deleted_at.is_not(None))
            )
            row_ids += self._session.scalars(orphaned.limit(limit - len(row_ids)))
        if not row_ids:
            return 0
        attempts = delete(WebhookAttempt).where(WebhookAttempt.delivery_id.in_(row_ids))
        self._session.execute(attempts)
        deliveries = delete(WebhookDelivery).where(WebhookDelivery.id.in_(row_ids))
        return rows_changed(self._session, deliveries)


_TABLE = WebhookDelivery.__table__
_ENDPOINTS = Detached(WebhookEndpoint)
_NOW = bindparam("now", type_=UtcDateTime())
_INSERT = insert(_TABLE)
_INSERT_ATTEMPT = insert(WebhookAttempt.__table__)


def _due_select() -> Any:
    earlier = aliased(WebhookDelivery)
    # One that is being sent now ends soon, long before its lease does.
    ready_at = case((earlier.lease.is_(None), earlier.due_at), else_=WebhookDelivery.due_at)
    blocker = (
        select(func.min(ready_at, type_=UtcDateTime()))
        .where(
            earlier.endpoint_id == WebhookDelivery.endpoint_id,
            earlier.payment_id == WebhookDelivery.payment_id,
            earlier.id < WebhookDelivery.id,
            earlier.due_at > EVER,
        )
        .scalar_subquery()
    )
    return (
        select(
            WebhookDelivery.id,
            WebhookDelivery.public_id,
            WebhookDelivery.kind,
            WebhookDelivery.created_at,
            WebhookDelivery.due_at,
            WebhookDelivery.feed_position,
            WebhookDelivery.recurrence_change_id,
            WebhookDelivery.charge_change_id,
            WebhookDelivery.payment_id,
            WebhookDelivery.attempts,
            WebhookDelivery.refusals,
            blocker,
        )
        .where(WebhookDelivery.endpoint_id == bindparam("endpoint_id"), _is_due())
        .order_by(WebhookDelivery.due_at, WebhookDelivery.id)
        .limit(bindparam("limit"))
    )


def _new_row(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "public_id": ids.new_public_id(),
        "status": DeliveryStatus.PENDING,
        "created_at": now,
        "due_at": now,
        "attempts": 0,
        "refusals": 0,
        **row,
    }


def _is_due() -> ColumnElement[bool]:
    """As `repository.due.is_over`, with the parameters of `_due_key`."""
    return and_(WebhookDelivery.due_at > EVER, or_(*_is_due_or_too_far()))


def _is_due_or_too_far() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    end = WebhookDelivery.due_at
    return end <= _NOW, end > bindparam("latest")


def _endpoints_with(has_time: ColumnElement[bool]) -> dict[bool, Select[Any]]:
    """Endpoints that may be sent to and have a delivery whose due time meets the condition.

    The key is whether the engine puts NULL behind all other values in an index. Deliveries that
    have ended have no due time. MySQL and MariaDB seek only the endpoint in the index and would
    read all of these before the others. So they read from the other end, up to the first row that
    meets the condition or has no due time.
    """
    own = select(WebhookDelivery.due_at).where(WebhookDelivery.endpoint_id == WebhookEndpoint.id)
    from_end = own.where(or_(WebhookDelivery.due_at.is_(None), has_time))
    last = from_end.order_by(WebhookDelivery.due_at.desc()).limit(1).scalar_subquery()
    conditions = {
        False: last.is_not(None),
        True: own.where(WebhookDelivery.due_at > EVER, has_time).exists(),
    }
    query = select(WebhookEndpoint.__table__).where(
        WebhookEndpoint.id > bindparam("after_id"), *MAY_BE_SENT_TO
    )
    query = query.order_by(WebhookEndpoint.id).limit(bindparam("limit"))
    return {nulls_last: query.where(condition) for nulls_last, condition in conditions.items()}


def _due_key(now: datetime) -> dict[str, datetime]:
    return {"now": now, "latest": latest_end(now, PAUSE_MAX)}


# Built once: building a statement costs more than executing it.
_DUE = _due_select()
_ENDPOINTS_DUE = _endpoints_with(or_(*_is_due_or_too_far()))
_ENDPOINTS_PENDING = _endpoints_with(WebhookDelivery.due_at > EVER)
_AS_READ = (_TABLE.c.id == bindparam("row")) & (_TABLE.c.due_at == bindparam("as_read"))
_POSTPONE = update(_TABLE).where(_AS_READ).values(due_at=bindparam("until"))
_CLAIM = (
    update(_TABLE)
    .where(_AS_READ)
    .values(lease=bindparam("token"), due_at=bindparam("until"), attempts=_TABLE.c.attempts + 1)
)
_SETTLE = (
    update(_TABLE)
    .where(_TABLE.c.id == bindparam("row"), _TABLE.c.lease == bindparam("token"))
    .values(
        lease=None,
        **{name: bindparam(f"new_{name}") for name in ("status", "due_at", "ended_at", "refusals")},
    )
)
